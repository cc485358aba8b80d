import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectRoot } from '#config';
import { KosError } from '#core/errors.ts';
import { listProjectFiles } from '#scripts/checks/project-files.ts';
import { type Page, type PageRun, readPage } from '#tests/documents/page.ts';
import { play, saveAll } from '#tests/documents/play.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

/** Where pages say that somebody's web server is; here it is this one. */
const webInPages = 'http://localhost:8080';
const web = createServer((request, response) => {
  if (request.url === '/rates.json') response.writeHead(200, { 'content-type': 'application/json' }).end('{"EUR": 1.1}');
  else if (request.url === '/page.txt') response.writeHead(200, { 'content-type': 'text/plain' }).end('one\ntwo\n');
  else response.writeHead(404).end();
});

const logLines = ['ERROR disk sda is full', 'INFO user 17 signed in', 'INFO user 4 signed in', 'WARN disk sdb is at 91 %', 'INFO user 9 signed in'];

const pages: Page[] = [];
for (const path of listProjectFiles().filter((file) => file.endsWith('.md'))) {
  const page = readPage(path, await readFile(join(projectRoot, path), 'utf8'));
  if (page.plans.size > 0) pages.push(page);
}

let engine: TestEngine;
beforeAll(async () => {
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  engine = await makeTestEngine({ egress: [`127.0.0.1:${portOf()}`] });
  await mkdir(join(engine.home, 'workspace'), { recursive: true });
  await writeFile(join(engine.home, 'workspace', 'app.log'), `${logLines.join('\n')}\n`);
});
afterAll(async () => {
  await engine.close();
  web.close();
});

const portOf = (): number => (web.address() as AddressInfo).port;

/** What the page says, with the address of the web server that is there. */
const atHand = (run: PageRun): PageRun => JSON.parse(JSON.stringify(run).replaceAll(webInPages, `http://127.0.0.1:${portOf()}`)) as PageRun;

describe.each(pages.map((page) => [page.path, page] as const))('%s', (path, page) => {
  beforeAll(() => saveAll(engine, [...page.plans.values()]));

  it.each(page.runs.map((run, number) => [`run ${number + 1}, of ${run.run}`, run] as const))('%s ends as the page says', async (_name, said) => {
    const wanted = atHand(said);
    const run = await play(engine, wanted).catch((error: unknown) => {
      if (!(error instanceof KosError) || error.code !== 'input_invalid') throw error;
      const message = `${path} does not say how "${said.run}" is run (${error.message}): add a yaml block that begins with "run: ${said.run}", see tests/documents/page.ts.`;
      throw new Error(message, { cause: error });
    });
    expect(run).toMatchObject({ status: wanted.status, error: wanted.error === undefined ? null : { code: wanted.error } });
    if (wanted.output !== undefined) expect({ output: run.output }).toMatchObject({ output: wanted.output });
    const statuses = Object.fromEntries(await engine.statusesOf(run.id));
    expect(statuses).toMatchObject(wanted.steps);
  });
});

it('every page on plans has a plan that is run', () => {
  const ofPlans = listProjectFiles().filter((file) => file.startsWith('documentation/plans/'));
  expect(ofPlans.length).toBeGreaterThan(8);
  expect(ofPlans.filter((file) => !pages.some(({ path }) => path === file))).toEqual([]);
});
