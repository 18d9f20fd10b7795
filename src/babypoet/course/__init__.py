"""The course: seventeen lessons from an empty file to a Transformer of one's own.

`lessons` finds what the lessons are, `checking` compares a learner's answer with ours and says what
differs, `guard` runs that in a process that can do no harm, `folder` keeps the learner's place,
`running` trains what they wrote, and `telling` puts it all into words for the terminal."""
