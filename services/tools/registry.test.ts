import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { builtinTools, createToolRegistry } from '#services/tools/registry.ts';
import { type ToolFixture, toolConformance } from '#services/tools/tool.conformance.ts';
import type { Tool, ToolSettings } from '#services/tools/tool.ts';

const base = await mkdtemp(join(tmpdir(), 'kos-tools-'));
const home = join(base, 'home');
const workspace = join(home, 'workspace');
const registry = createToolRegistry(builtinTools({ home, egress: { forbiddenPorts: () => [] } }));

let server: Server;
let endpoint = '127.0.0.1:1';
let requests = 0;

beforeAll(async () => {
  await mkdir(workspace, { recursive: true });
  await mkdir(join(base, 'outside'));
  await writeFile(join(home, 'cli.json'), '{"key":"owner"}');
  await writeFile(join(base, 'outside', 'a.log'), 'outside\n');
  await writeFile(join(workspace, 'a.log'), '2026-05-20T10:00:00Z ERROR one\n2026-05-20T10:00:01Z INFO two\n');
  server = createServer((_request, response) => {
    requests += 1;
    response.setHeader('content-type', 'application/json');
    response.end('{"ok":true}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(base, { recursive: true });
});

const settings = (): ToolSettings => ({ roots: [{ path: workspace, write: true }], egress: [endpoint] });

/** Names, contents and times of all that a file tool could change, staged files included. */
async function files(): Promise<unknown> {
  const names = (await readdir(base, { recursive: true })).toSorted();
  const entries = await Promise.all(
    names.map(async (name) => {
      const stats = await stat(join(base, name));
      return stats.isFile() ? [name, await readFile(join(base, name), 'utf8')] : [name];
    }),
  );
  return entries.filter(([name]) => name !== 'home/workspace/.kos-tmp');
}

const tool = (name: string): Tool => {
  const found = registry.get(name);
  if (found === undefined) throw new Error(`no tool ${name}`);
  return found;
};

const outsidePaths = (): string[] => [
  join(base, 'outside', 'a.log'),
  '../cli.json',
  join(home, 'cli.json'),
  `${workspace}/../cli.json`,
  '/etc/passwd',
  '/proc/self/environ',
  '/proc/self/root/etc/passwd',
  '/dev/null',
];

const badPaths = [{ path: '' }, { path: 'a\0b' }, { path: 7 }, { path: 'a.log', unknown: 1 }, { path: 'a'.repeat(5_000) }];
const reading = (name: string, extra: Record<string, unknown> = {}): ToolFixture => ({
  tool: tool(name),
  settings,
  validInput: () => ({ path: 'a.log', ...extra }),
  badInputs: () => [...badPaths.map((input) => ({ ...extra, ...input })), { path: 'a.log', ...extra, limit: -1, maxBytes: -1, maxClusters: 0 }],
  forbidden: () => outsidePaths().map((path) => ({ input: { path, ...extra }, code: 'path_refused' })),
  observe: files,
});
const writing = (name: string): ToolFixture => ({
  ...reading(name, { content: 'x' }),
  validInput: () => ({ path: `${name}/new.txt`, content: 'hello' }),
  badInputs: () => [
    ...badPaths.map((input) => ({ content: 'x', ...input })),
    { path: 'b' },
    { path: 'b', content: 7 },
    { path: 'b', content: '%', encoding: 'base64' },
  ],
});
const pure = (name: string, validInput: Record<string, unknown>, badInputs: unknown[]): ToolFixture => ({
  tool: tool(name),
  settings,
  validInput: () => validInput,
  badInputs: () => badInputs,
});
const http = (name: string): ToolFixture => ({
  tool: tool(name),
  settings,
  validInput: () => ({ url: `http://${endpoint}/a` }),
  badInputs: () => [
    { url: 'not an address' },
    { url: `http://user:secret@${endpoint}/` },
    { url: `http://${endpoint}/?key=secret://token` },
    { url: `http://${endpoint}/`, headers: { Host: 'evil' } },
    { url: `http://${endpoint}/`, headers: { 'x-a': 'one\r\nx-b: two' } },
    { url: `http://${endpoint}/`, headers: { 'bad name': 'x' } },
    { url: `http://${endpoint}/`, method: 'TRACE' },
    { url: `http://${endpoint}/`, unknown: true },
  ],
  forbidden: () => [
    { input: { url: 'https://example.com/' }, code: 'egress_refused' },
    { input: { url: 'http://169.254.169.254/' }, code: 'egress_metadata' },
    { input: { url: 'http://127.0.0.1:1/' }, code: 'egress_private_address' },
    { input: { url: 'file:///etc/passwd' }, code: 'egress_scheme' },
  ],
  ...(name === 'http.fetch' ? {} : { observe: async () => requests }),
});

const fixtures: ToolFixture[] = [
  {
    ...reading('fs.list'),
    validInput: () => ({}),
    badInputs: () => [...badPaths, { path: '.', limit: 0 }],
    forbidden: () => [...outsidePaths(), '..', '/'].map((path) => ({ input: { path }, code: 'path_refused' })),
  },
  reading('fs.read'),
  reading('fs.search', { query: 'one' }),
  reading('log.cluster'),
  writing('fs.write'),
  writing('fs.create'),
  http('http.fetch'),
  http('http.send'),
  pure('text.lines', { text: 'a\r\nb\n' }, [{}, { text: 1 }, { text: 'a', more: 1 }]),
  pure('text.split', { text: 'a,b', separator: ',' }, [{ text: 'a' }, { text: 'a', separator: '' }]),
  pure('text.truncate', { text: 'abcdef', maxCharacters: 3 }, [{ text: 'a' }, { text: 'a', maxCharacters: -1 }]),
  pure('text.replace', { text: 'aXbX', find: 'X', replacement: '$&' }, [{ text: 'a', find: '', replacement: 'b' }]),
  pure('text.digest', { text: 'abc' }, [{}, { text: null }]),
  pure('json.parse', { text: '{"a":[1]}' }, [{}, { text: {} }]),
  pure('json.select', { value: { a: [1] }, pointer: '/a/0' }, [{ value: 1 }, { value: 1, pointer: 'a' }, { value: 1, pointer: '/~2' }]),
  pure('json.merge', { target: { a: 1, b: 2 }, patch: { b: null, c: 3 } }, [{}, { target: 1 }]),
  pure('json.validate', { value: { a: 1 }, schema: { type: 'object' } }, [
    { value: 1 },
    { value: 1, schema: { pattern: '(a+)+$' } },
    { value: 1, schema: 'x' },
  ]),
  pure('json.echo', { value: [1, 'two', null] }, []),
];

for (const fixture of fixtures) toolConformance(fixture);

it('every built-in tool is tried', () => {
  expect(fixtures.map((fixture) => fixture.tool.name).toSorted()).toEqual(
    registry
      .list()
      .map(({ name }) => name)
      .toSorted(),
  );
});

it('refuses doubled and misspelt names', () => {
  const echo = tool('json.echo');
  expect(() => createToolRegistry([echo, echo])).toThrow('Two tools are named json.echo');
  expect(() => createToolRegistry([{ ...echo, name: 'echo' }])).toThrow('room.action');
});
