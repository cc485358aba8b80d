import { describe, expect, it } from 'vitest';
import { planNameSchema } from '#schemas/plan.ts';
import { toolOfPlan } from './plan-tool.ts';
import { fixedTools } from './tools.ts';

const toolOf = (input: Parameters<typeof toolOfPlan>[0]['input'], description: string | null = null) =>
  toolOfPlan({ name: 'greet', version: 2, description, input }).description;

describe('a plan as a tool', () => {
  it('has the schema of the plan, and the key beside its properties', () => {
    const { inputSchema } = toolOf({ type: 'object', required: ['name'], properties: { name: { $ref: '#/$defs/name' } }, $defs: { name: { type: 'string' } } });
    expect(inputSchema).toMatchObject({ type: 'object', required: ['name'], $defs: { name: { type: 'string' } } });
    expect(inputSchema.properties).toEqual({
      name: { $ref: '#/$defs/name' },
      idempotencyKey: expect.objectContaining({ type: 'string', maxLength: 255 }) as object,
    });
  });

  it('leaves a property of that name to the plan', () => {
    const { inputSchema } = toolOf({ type: 'object', properties: { idempotencyKey: { type: 'integer' } } });
    expect(inputSchema.properties).toEqual({ idempotencyKey: { type: 'integer' } });
  });

  it('takes nothing but the key when the plan takes no input', () => {
    const { inputSchema } = toolOf(null);
    expect(inputSchema).toMatchObject({ type: 'object', additionalProperties: false });
    expect(Object.keys(inputSchema.properties ?? {})).toEqual(['idempotencyKey']);
  });

  it('says what the plan says of itself, and how to go on', () => {
    expect(toolOf(null, 'Greets.').description).toMatch(/^Greets\.\n\n.*run_wait/s);
    expect(toolOf(null).description).toMatch(/^Runs the plan greet\./);
  });
});

describe('the other tools', () => {
  it('have names that no plan can have, and schemas of objects', () => {
    for (const { description } of fixedTools) {
      expect(planNameSchema.safeParse(description.name).success).toBe(false);
      expect([description.inputSchema.type, description.outputSchema?.['type']]).toEqual(['object', 'object']);
    }
  });
});
