import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const buildProgram = fileURLToPath(new URL('./build-workflow-bundle.ts', import.meta.url));

/** What the bundle is made of: our own modules, how they are put together, and the exact versions of everything else. */
const sources = ['workflows', 'core/engine', 'services/temporal/data-converter-failure.ts', 'workers/bundle/build-workflow-bundle.ts', 'package-lock.json'];

/**
 * The path of the bundle of today's workflow code. Built once per version of the sources, in a process of its own: a bundler in the worker
 * would cost it 100 MB for as long as it lives.
 */
export async function ensureWorkflowBundle(projectRoot: string): Promise<string> {
  const digest = await digestOfSources(projectRoot);
  const file = join(projectRoot, 'node_modules', '.cache', 'kos', `workflows-${digest}.cjs`);
  if (!(await exists(file))) await build(file);
  return file;
}

async function digestOfSources(projectRoot: string): Promise<string> {
  const hash = createHash('sha256');
  for (const source of sources) {
    for (const file of await filesOf(join(projectRoot, source)))
      hash
        .update(file.slice(projectRoot.length))
        .update('\0')
        .update(await readFile(file));
  }
  return hash.digest('hex').slice(0, 16);
}

async function filesOf(path: string): Promise<string[]> {
  if (/\.\w+$/.test(path)) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'));
  return files.map((entry) => join(entry.parentPath, entry.name)).sort();
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

async function build(file: string): Promise<void> {
  const child = spawn(process.execPath, [buildProgram, file], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`The workflow bundle could not be built (exit ${String(code)}); what the bundler said stands above.`);
}
