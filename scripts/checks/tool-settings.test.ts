import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { projectRoot } from './project-files.ts';
import { checkStages } from './stages.mjs';

/** A setting that catches nothing looks like clean code: each tool is shown a bad example under this project's own settings. */
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) {
    rmSync(folder, { recursive: true });
  }
});

function runStage(name: string, files: Record<string, string>): { exitCode: number | null; output: string } {
  const folder = mkdtempSync(join(tmpdir(), 'kos-settings-'));
  folders.push(folder);
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'), 'junction');
  for (const setting of ['.oxlintrc.json', '.jscpd.json', 'biome.json', 'tsconfig.json']) {
    copyFileSync(join(projectRoot, setting), join(folder, setting));
  }
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  const [program, ...rest] = checkStages.find((stage) => stage.name === name)?.arguments ?? [];
  const done = spawnSync(process.execPath, [join(projectRoot, program ?? ''), ...rest], { cwd: folder, encoding: 'utf8' });
  return { exitCode: done.status, output: done.stdout + done.stderr };
}

const work = 'async function work(): Promise<void> {}\n';

describe('lint', () => {
  it('accepts good code', () => {
    expect(runStage('lint', { 'services/good.ts': `${work}await work();\n` })).toMatchObject({ exitCode: 0 });
  });

  it('catches what the style forbids', () => {
    const { exitCode, output } = runStage('lint', {
      'services/floating.ts': `${work}work();\n`,
      'services/misused.ts': `${work}[1].forEach(work);\n`,
      'services/open.ts': `export function size(of: 'small' | 'large'): number {\n  switch (of) {\n    case 'small':\n      return 1;\n  }\n  return 2;\n}\n`,
      'services/loose.ts': `export const loose: any = 1;\n`,
      'services/environment.ts': `export const home = process.env.HOME;\n`,
      'services/ignored.ts': `// @ts-ignore\nexport const ignored: string = 1;\n`,
      'services/runs-code.ts': `import { runInThisContext } from 'node:vm';\nexport const answer: unknown = runInThisContext('42');\n`,
      'core/clock.ts': `export const now = Date.now();\n`,
      'core/nothing.test.ts': `import { it } from 'vitest';\nit('does nothing', () => {});\n`,
    });
    expect(exitCode).toBe(1);
    for (const rule of [
      'typescript(no-floating-promises)',
      'typescript(no-misused-promises)',
      'typescript(switch-exhaustiveness-check)',
      'typescript(no-explicit-any)',
      'node(no-process-env)',
      'typescript(ban-ts-comment)',
      'eslint(no-restricted-imports)',
      'eslint(no-restricted-properties)',
      'vitest(expect-expect)',
    ]) {
      expect(output).toContain(rule);
    }
  });

  it('lets launchers and the configuration read the environment', () => {
    const source = 'export const home = process.env.HOME;\n';
    expect(runStage('lint', { 'temporal.config.ts': source, 'scripts/start.mjs': source })).toMatchObject({ exitCode: 0 });
  });
});

describe('duplication', () => {
  const long = (name: string): string =>
    `export function ${name}(values: number[]): number {\n  let sum = 0;\n${Array.from({ length: 12 }, (_, index) => `  sum += values[${index}] ?? ${index} * 2;`).join('\n')}\n  return sum;\n}\n`;

  it('catches a function that stands twice', () => {
    expect(runStage('duplication', { 'core/a.ts': long('total'), 'services/b.ts': long('total') }).exitCode).toBe(1);
    expect(runStage('duplication', { 'core/a.ts': long('total') }).exitCode).toBe(0);
  });
});

describe('format', () => {
  it('catches a file that is formatted in another way', () => {
    expect(runStage('format', { 'core/a.ts': 'export const a = "one"\n' }).exitCode).toBe(1);
    expect(runStage('format', { 'core/a.ts': `export const a = 'one';\n` })).toMatchObject({ exitCode: 0 });
  });
});

describe('types', () => {
  it('catches a wrong type', () => {
    const { exitCode, output } = runStage('types', { 'core/a.ts': `export const a: string[] = [1];\n` });
    expect(exitCode).not.toBe(0);
    expect(output).toContain('core/a.ts(1,');
  });
});
