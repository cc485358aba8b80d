/**
 * `npm run fuzz-api`: Schemathesis sends every route of the API's own description what the description allows, and what it does not, to a real kOS in
 * a home of its own. No answer may be a 5xx, and each must be as described. Needs Python 3.10 or later. Not part of `npm test`: it takes minutes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Client } from '#cli/client.ts';
import { newIdempotencyKey } from '#cli/transport.ts';
import { makeInstallation } from '#tests/chaos/rig/installation.ts';

/** Of https://pypi.org/project/schemathesis. */
const version = '4.32.5';
const checks = ['not_a_server_error', 'status_code_conformance', 'content_type_conformance', 'response_schema_conformance'];
/** What the owner's key may, and a little less: no request waits for its turn there. */
const requestsPerSecond = 90;

const { values } = parseArgs({
  options: {
    /** Random requests per route, beside those that try every bound of the description. */
    examples: { type: 'string', default: '25' },
    phases: { type: 'string', default: 'examples,coverage,fuzzing,stateful' },
    /** The same seed, the same requests. */
    seed: { type: 'string' },
    /** Part of a path, as a regular expression: only those routes. */
    only: { type: 'string' },
    /** Leaves the home behind. */
    keep: { type: 'boolean', default: false },
  },
});

/** In a folder of its own: what programs leave behind goes with it. */
async function run(program: string, words: readonly string[]): Promise<number> {
  const child = spawn(program, words, { stdio: 'inherit', cwd: folder });
  const [code] = (await once(child, 'close')) as [number | null];
  return code ?? 1;
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Installs it where it is not yet, apart from the project: nothing of ours depends on it. */
async function findSchemathesis(): Promise<string> {
  const folder = join(tmpdir(), `kos-schemathesis-${version}`);
  const program = join(folder, 'bin', 'schemathesis');
  if (await isThere(program)) return program;
  const isInstalled =
    (await run('python3', ['-m', 'venv', folder])) === 0 &&
    (await run(join(folder, 'bin', 'pip'), ['install', '--quiet', '--disable-pip-version-check', `schemathesis==${version}`])) === 0;
  if (!isInstalled) throw new Error(`Schemathesis ${version} could not be installed in ${folder}: Python 3.10 with venv, and PyPI, are needed.`);
  return program;
}

/** One thing of each kind, so that requests are about something: Schemathesis takes the ids from lists. */
async function furnish(client: Client): Promise<void> {
  await client.plans.save({ source: 'plan: seven\nexpose: [mcp]\nsteps:\n  only: { transform: 7 }\noutput: "${steps.only.output}"\n', format: 'yaml' });
  await client.runs.start({ plan: 'seven', input: {} }, newIdempotencyKey());
  await client.runs.start({ plan: 'approval', input: {} }, newIdempotencyKey());
  await client.runs.start({ plan: 'log-triage', input: { autoApprove: true } }, newIdempotencyKey());
  await client.schedules.create({ name: 'yearly', plan: 'seven', spec: { cron: ['@yearly'] } });
  await client.triggers.create({ name: 'hook', plan: 'seven', scheme: 'bearer' });
  await client.secrets.set('example', { value: 'not a secret', hosts: ['kos.example'] });
}

const folder = await mkdtemp(join(tmpdir(), 'kf-'));
const installation = makeInstallation(join(folder, 'home'));
try {
  const schemathesis = await findSchemathesis();
  await installation.start();
  await installation.patiently(furnish);
  const { url, apiKey } = JSON.parse(await readFile(join(installation.home, 'cli.json'), 'utf8')) as { url: string; apiKey: string };
  process.exitCode = await run(schemathesis, [
    'run',
    `${url}/v1/openapi.json`,
    '--header',
    `Authorization: Bearer ${apiKey}`,
    '--checks',
    checks.join(','),
    '--phases',
    values.phases,
    '--max-examples',
    values.examples,
    '--rate-limit',
    `${requestsPerSecond}/s`,
    '--request-timeout',
    '30',
    '--warnings',
    'off',
    ...(values.seed === undefined ? [] : ['--seed', values.seed]),
    ...(values.only === undefined ? [] : ['--include-path-regex', values.only]),
  ]);
} finally {
  await installation.stop().catch((error: unknown) => console.error(error));
  if (values.keep) console.log(`The home is left at ${installation.home}.`);
  else await rm(folder, { recursive: true, force: true });
}
