"""Wrong answers to lesson 6: (what the solution says, what is written instead, what names it)."""

CLEAR = "        optimizer.zero_grad()\n"
ORDER = "        optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()\n"
RANGE = "for start in range(0, len(ids) - 1, block_size):"
WINDOW = "window = ids[start : start + block_size + 1]"
WRONG = [
    (CLEAR, "", "zero_grad is missing"),
    (
        ORDER,
        "        loss.backward()\n        optimizer.zero_grad()\n        optimizer.step()\n",
        "The model never moves",
    ),
    ("        optimizer.step()\n", "", "The model never moves"),
    ("        loss.backward()\n", "", "The model never moves"),
    (
        ORDER,
        "        optimizer.zero_grad()\n        optimizer.step()\n        loss.backward()\n",
        "The model never moves",
    ),
    ("torch.optim.SGD(", "torch.optim.AdamW(", "Adam"),
    ("lr=learning_rate", "lr=0.1", "learning rate that is passed in is not used"),
    (
        "    for _ in range(steps):\n        idx, targets = next(batches)",
        "    idx, targets = next(batches)\n    for _ in range(steps):\n        pass",
        "made with the first batch",
    ),
    (
        "losses.append(loss.item())",
        "losses.append(model(idx, targets)[1].item())",
        "losses after each update",
    ),
    ("losses.append(loss.item())", "losses.append(loss)", "The list holds tensors"),
    ("    model.train()\n", "", "trained in evaluation mode"),
    ("    return losses", "    return losses[-1]", "Only the last loss came back"),
    ("loss.backward()", "(-loss).backward()", "uphill"),
    ("total += loss.item() * (len(window) - 1)", "total += loss.item()", "are means already"),
    (
        "    return total / (len(ids) - 1)",
        "    return total / len(ids)",
        "You divided by N",
    ),
    ("    return total / (len(ids) - 1)", "    return total", "sum over all characters"),
    (
        "            total += loss.item() * (len(window) - 1)\n    model.train(before)\n"
        "    return total / (len(ids) - 1)",
        "            total += loss.item()\n    model.train(before)\n"
        "    return total / len(range(0, len(ids) - 1, block_size))",
        "mean over windows is not the mean over characters",
    ),
    (
        RANGE,
        "ids = ids[: (len(ids) - 1) // block_size * block_size + 1] if len(ids) > block_size "
        "else ids\n        " + RANGE,
        "The end was dropped",
    ),
    (
        RANGE,
        "for start in range(0, min(block_size, len(ids) - 1), block_size):",
        "Only the first window",
    ),
    ("model(window[None, :-1], window[None, 1:])", "model(window[:-1], window[1:])", "x[None]"),
    (RANGE, "for start in range(0, len(ids), block_size):", "empty window"),
    (
        "model(window[None, :-1], window[None, 1:])",
        "model(ids[None, start : start + block_size], window[None, 1:])",
        "Nothing comes after the last character",
    ),
    (RANGE, "for start in range(0, len(ids) - 1, block_size + 1):", "block_size + 1 apart"),
    ("    model.eval()\n", "", "judged in training mode"),
    ("with torch.no_grad():", "if True:", "backward() that never comes"),
    ("    model.train(before)\n", "", "left in evaluation mode"),
    ("    model.train(before)\n", "    model.train()\n", "left in training mode"),
    (
        "    return total / (len(ids) - 1)",
        "    return torch.tensor(total / (len(ids) - 1))",
        "expected a plain float",
    ),
]
