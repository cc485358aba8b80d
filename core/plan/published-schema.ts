import { z } from 'zod';
import { planSchema } from '#schemas/plan.ts';

/** Characters of a line, as everywhere in this repository. */
const lineWidth = 160;

/** The JSON Schema of the plan language, for editors. Derived from the zod schema, so the two cannot disagree. */
export function publishedPlanSchema(): unknown {
  const { $schema, ...rest } = z.toJSONSchema(planSchema, { io: 'input' });
  return { $schema, title: 'kOS plan', description: 'A plan of kOS: steps as data. Texts may hold ${…} expressions where the language allows them.', ...rest };
}

/** As a file: objects over several lines, lists of plain values on one line where they fit. */
export function publishedPlanSchemaText(): string {
  return `${print(publishedPlanSchema(), '', 0)}\n`;
}

function print(value: unknown, indent: string, column: number): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const short = `[${value.map((item) => print(item, inner, 0)).join(', ')}]`;
    if (!short.includes('\n') && column + short.length < lineWidth) return short;
    return `[\n${value.map((item) => `${inner}${print(item, inner, inner.length)}`).join(',\n')}\n${indent}]`;
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return '{}';
  const lines = entries.map(([key, member]) => {
    const start = `${inner}${JSON.stringify(key)}: `;
    return `${start}${print(member, inner, start.length)}`;
  });
  return `{\n${lines.join(',\n')}\n${indent}}`;
}
