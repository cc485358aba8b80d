import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Json } from '#schemas/json.ts';
import { validateJson } from './json-schema.ts';
import { publishedPlanSchemaText } from './published-schema.ts';

const file = readFileSync(new URL('../../schemas/plan.schema.json', import.meta.url), 'utf8');

describe('the published JSON Schema', () => {
  it('is current (else: node scripts/generate-plan-schema.ts)', () => {
    expect(file).toBe(publishedPlanSchemaText());
  });

  it('accepts the examples and refuses unknown keys', () => {
    const schema = JSON.parse(file) as Json;
    const folder = new URL('../../examples/', import.meta.url);
    const examples = readdirSync(folder).filter((name) => name.endsWith('.plan.yaml'));
    expect(examples.length).toBeGreaterThan(0);
    for (const name of examples) {
      const plan = parse(readFileSync(new URL(name, folder), 'utf8')) as { [key: string]: Json };
      expect(validateJson(schema, plan)).toEqual([]);
      expect(validateJson(schema, { ...plan, stepps: {} })).not.toEqual([]);
    }
  });
});
