import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from './project-files.ts';
import { findForeignModules } from './workflow-bundle.ts';

const fixture = (name: string): { workflowsPath: string } => ({ workflowsPath: join(projectRoot, 'scripts/checks/fixtures', name) });

describe('the workflow bundle', () => {
  it('may hold what Temporal brings along', async () => {
    expect((await findForeignModules(fixture('empty-workflow.ts'))).faults).toEqual([]);
  });

  it('may not hold zod', async () => {
    const { faults } = await findForeignModules(fixture('heavy-workflow.ts'));
    expect(faults).toContain('the workflow bundle holds node_modules/zod/v4/core/parse.js');
    expect(faults).toContain('the workflow bundle holds scripts/checks/fixtures/heavy-workflow.ts');
  });
});
