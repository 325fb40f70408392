// Whether an answer has the shape that a script expects.

/** Says what is wrong with `value`, or gives undefined: a shape is a name, an exact text, or an object with a shape per field. */
export function mismatch(value, shape, shapes, path = "result") {
  if (typeof shape === "object") {
    if (value === null || typeof value !== "object") return `${path} is ${JSON.stringify(value)}, not an object`;
    const wrong = Object.entries(shape).map(([field, inner]) => mismatch(value[field], inner, shapes, `${path}.${field}`));
    return wrong.find((one) => one !== undefined);
  }
  const isRight =
    shape === "array" ? Array.isArray(value)
    : shape === "null" ? value === null
    : shape === "false" ? value === false
    : shape in shapes ? typeof value === "string" && new RegExp(shapes[shape]).test(value)
    : value === shape;
  return isRight ? undefined : `${path} is ${JSON.stringify(value)}, not ${shape}`;
}
