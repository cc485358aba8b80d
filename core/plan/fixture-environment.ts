import type { PlanEnvironment, ToolDescriptor } from './compiled.ts';

const text = { type: 'string' };

function tool(
  name: string,
  effect: ToolDescriptor['effect'],
  inputSchema: ToolDescriptor['inputSchema'],
  outputSchema: ToolDescriptor['outputSchema'],
): ToolDescriptor {
  return { name, version: 1, effect, inputSchema, outputSchema };
}

/** Tools and models for this room's tests: one tool of each effect. */
export const fixtureEnvironment: PlanEnvironment = {
  models: ['fast', 'builtin/summary'],
  tools: [
    tool(
      'log.cluster',
      'idempotent',
      {
        type: 'object',
        required: ['path'],
        additionalProperties: false,
        properties: { path: text, maxClusters: { type: 'integer', minimum: 1 }, tags: { type: 'array', items: text }, nested: { $ref: '#/$defs/nested' } },
        $defs: { nested: { type: 'object', required: ['kind'], additionalProperties: false, properties: { kind: { enum: ['a', 'b'] } } } },
      },
      {
        type: 'object',
        required: ['lines', 'clusters'],
        additionalProperties: false,
        properties: {
          lines: { type: 'integer' },
          clusters: {
            type: 'array',
            items: { type: 'object', additionalProperties: false, required: ['template', 'count'], properties: { template: text, count: { type: 'integer' } } },
          },
        },
      },
    ),
    tool(
      'text.upper',
      'pure',
      { type: 'object', required: ['text'], additionalProperties: false, properties: { text } },
      { type: 'object', properties: { text }, additionalProperties: false },
    ),
    tool('http.post', 'effectful', { type: 'object', properties: { url: text, body: {} } }, { type: 'object', properties: { status: { type: 'integer' } } }),
  ],
};
