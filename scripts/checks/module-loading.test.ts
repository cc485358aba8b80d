import { describe, expect, it } from 'vitest';
import { findUnloadable } from './module-loading.ts';
import { projectRoot } from './project-files.ts';

describe('loading by Node', () => {
  it('accepts what links', () => {
    expect(findUnloadable(projectRoot, ['core/errors.ts'])).toEqual([]);
  });

  it('finds a name that only vitest would find', () => {
    const faults = findUnloadable(projectRoot, ['scripts/checks/fixtures/unlinkable.ts', 'core/errors.ts']);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(/unlinkable\.ts does not load: .*'temporal'/);
  });

  it('does not take an early end for success', () => {
    expect(findUnloadable(projectRoot, ['scripts/checks/fixtures/ends-early.ts'])[0]).toMatch(/ended early/);
  });
});
