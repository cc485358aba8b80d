import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compilePlanText } from '#core/plan/compile.ts';
import { createModelService } from '#services/models/model-service.ts';
import { builtinTools, describeTool } from '#services/tools/registry.ts';
import { listProjectFiles, projectRoot } from './project-files.ts';

const tools = builtinTools({ home: tmpdir(), egress: { forbiddenPorts: () => [] } }).map((tool) => {
  const { inputSchema, outputSchema } = describeTool(tool);
  return { name: tool.name, version: tool.version, effect: tool.effect, inputSchema, outputSchema };
});
const models = createModelService({ openai: { apiKey: undefined, baseUrl: undefined } })
  .list()
  .map((model) => model.name);

/** Whole plans in documents (```yaml blocks that begin with `plan:`), and the examples themselves. */
const plans = listProjectFiles().flatMap((path): [string, string][] => {
  const text = (): string => readFileSync(join(projectRoot, path), 'utf8');
  if (path.endsWith('.plan.yaml')) return [[path, text()]];
  if (!path.endsWith('.md')) return [];
  return [...text().matchAll(/```yaml\n(plan: [\s\S]*?)```/g)].map((match, index) => [`${path}, plan ${index + 1}`, match[1] ?? '']);
});

describe('plans that people may copy', () => {
  it('are found', () => {
    expect(plans.map(([place]) => place)).toEqual(expect.arrayContaining(['README.md, plan 1', 'examples/fan-out.plan.yaml']));
  });

  it.each(plans)('%s passes every check', (_place, text) => {
    const result = compilePlanText(text, { tools, models });
    expect(result.ok ? [] : result.faults).toEqual([]);
  });
});
