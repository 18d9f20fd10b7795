"""Wrong answers to lesson 15, the cache: what is replaced in the solution, by what, and which words
of the message name the mistake."""

_KEEP = """        self.keys[past:N] = x @ self.key
        self.values[past:N] = x @ self.value
"""
_CHECK = """        if past + T > block_size:
            raise ValueError(f"{N} characters do not fit into a window of {block_size}")
"""
_MEMORY = """        self.keys = np.empty((block_size, D))
        self.values = np.empty((block_size, D))
        self.length = 0  # how many rows of the two are filled
"""

_PLACE = "        x = x + self.position[past:N]  # (T, C)\n"

WRONG = [
    ("x = x + self.position[past:N]", "x += self.position[past:N]", "The caller's x was changed"),
    (
        "        score = np.where(future, -np.inf, score)  # (T, N)\n"
        "        e = np.exp(score - score.max(axis=-1, keepdims=True))  # (T, N)\n"
        "        weight = e / e.sum(axis=-1, keepdims=True)  # (T, N)\n",
        "        e = np.exp(score - score.max(axis=-1, keepdims=True))\n"
        "        weight = np.where(future, 0, e / e.sum(axis=-1, keepdims=True))\n",
        "masked after the softmax",
    ),
    ("np.where(future, -np.inf, score)", "np.where(future, 0, score)", "e^0 is 1"),
    (
        'raise ValueError(f"{N} characters do not fit into a window of {block_size}")',
        "return None",
        "it gave None for characters that do not fit",
    ),
    ("raise ValueError(f", "raise IndexError(f", "It raised an IndexError"),
    ("self.position[past:N]", "self.position[:T]", "The position is not advanced"),
    ("self.position[past:N]", "self.position[past]", "get the same position"),
    ("x = x + self.position[past:N]  # (T, C)", "pass", "The positions are not used"),
    (
        "self.position[past:N]",
        "self.position[[min(n + 1, len(self.position) - 1) for n in range(past, N)]]",
        "one too far on",
    ),
    ("np.arange(past, N)[:, None]", "np.arange(T)[:, None]", "The mask is a square one"),
    (
        "future = np.arange(N) > np.arange(past, N)[:, None]  # (T, N)",
        "future = np.triu(np.ones((T, N), bool), 1)",
        "The mask is a square one",
    ),
    ("np.where(future, -np.inf, score)", "score", "see their future"),
    ("np.arange(N) > np", "np.arange(N) >= np", "does not see itself"),
    ("math.sqrt(k.shape[1])", "1", "not scaled"),
    ("math.sqrt(k.shape[1])", "math.sqrt(x.shape[1])", "Take D, the head size"),
    (
        _KEEP,
        "        self.keys[:N] = np.concatenate((x @ self.key, self.keys[:past]))\n"
        "        self.values[:N] = np.concatenate((x @ self.value, self.values[:past]))\n",
        "The order is wrong",
    ),
    (
        "x = x + self.position[past:N]  # (T, C)\n" + _KEEP,
        "self.values[past:N] = x @ self.value\n"
        "        x = x + self.position[past:N]\n"
        "        self.keys[past:N] = x @ self.key\n",
        "The values are made without positions",
    ),
    ("self.length = N\n", "self.length = 0\n", "Each call begins a new text"),
    (
        _CHECK + _PLACE + _KEEP,
        _PLACE
        + "        N = past + len(x)\n"
        + "        self.keys = np.concatenate((self.keys[:past], x @ self.key))\n"
        + "        self.values = np.concatenate((self.values[:past], x @ self.value))\n",
        "without a word",
    ),
    ("past + T > block", "past + T >= block", "exactly block_size"),
    (
        _CHECK,
        "        self.length = N\n" + _CHECK,
        "The refused characters were counted",
    ),
    (
        _MEMORY,
        "        CachedHead.keys = getattr(CachedHead, 'keys', np.empty((block_size, D)))\n"
        "        CachedHead.values = getattr(CachedHead, 'values', np.empty((block_size, D)))\n"
        "        self.length = 0\n",
        "share one memory",
    ),
    (
        _PLACE + _KEEP,
        "        self.text = np.concatenate((self.text, x)) if past else x\n"
        "        every = self.text + self.position[:N]\n"
        "        self.keys[:N] = every @ self.key\n"
        "        self.values[:N] = every @ self.value\n"
        "        x = every[past:]\n",
        "computed again",
    ),
]
