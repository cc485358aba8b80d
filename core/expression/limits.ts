/** Bounds of the dialect: of the source when it is parsed, of the values when it runs. */
export const expressionLimits = {
  /** Characters of one expression. */
  sourceLength: 16_384,
  astNodes: 2_000,
  /** Nested calls, selections, literals. */
  depth: 64,
  literalEntries: 1_000,
  callArguments: 16,
  /** Elements of a list that a function makes. */
  listLength: 100_000,
  /** Characters of a result's text: the bound of a step's output. */
  textLength: 8_000_000,
  /** Nested lists and objects of a value. */
  valueDepth: 200,
  /** Expressions of one template. */
  expressionsPerTemplate: 1_000,
} as const;
