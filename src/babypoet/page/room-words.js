/**
 * How a sentence calls a character.
 */

import { glyph, nameOf, say } from "./strings.js";

/**
 * A character between quotation marks; a blank, or a mark that would be lost between them, by its
 * name: ‘e’, ‘,’, space, apostrophe.
 *
 * @param {string} character
 */
export function quoted(character) {
  const itself = glyph(character) === character && !/^['"‘’“”`]$/.test(character);
  return itself ? say("room.quoted", { letter: character }) : nameOf(character);
}
