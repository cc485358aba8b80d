import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { usageFault } from '../faults.ts';
import { parseJsonText, readTextFile } from '../input-files.ts';
import type { Invocation } from '../invocation.ts';
import { collect } from '../lists.ts';
import { type Method, newIdempotencyKey } from '../transport.ts';

const methods: readonly Method[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

interface ApiOptions {
  data?: string;
  header?: string[];
  idempotencyKey?: string;
  include?: boolean;
}

export function defineApi(api: Command, invocation: Invocation): void {
  api
    .argument('<method>', methods.join(', '), parseMethod)
    .argument('<path>', 'e.g. /v1/runs?limit=5; the routes: kai api GET /v1/openapi.json')
    .option('-d, --data <json>', 'JSON, @FILE, or - for standard input')
    .option('-H, --header <name: value>', 'a header (repeat for several)', collect)
    .option('--idempotency-key <key>', 'for POST; made anew when absent')
    .option('-i, --include', 'say status and headers, too')
    .action(async (method: Method, path: string, options: ApiOptions) => {
      await call(invocation, method, path, options);
    });
}

function parseMethod(text: string): Method {
  const method = methods.find((known) => known === text.toUpperCase());
  if (method === undefined) throw new InvalidArgumentError(`It is one of ${methods.join(', ')}.`);
  return method;
}

async function call({ client, output }: Invocation, method: Method, path: string, options: ApiOptions): Promise<void> {
  if (!path.startsWith('/') || path.startsWith('//')) throw usageFault(`The path ${path} must begin with one "/": the server is the configured one.`);
  const json = options.data === undefined ? undefined : await readData(options.data, output);
  const key = options.idempotencyKey ?? (method === 'POST' ? newIdempotencyKey() : undefined);
  const { response, headers, status } = await client.transport.send({
    method,
    path,
    headers: readHeaders(options.header ?? []),
    ...(json === undefined ? {} : { json }),
    ...(key === undefined ? {} : { idempotencyKey: key }),
  });
  if (options.include === true) output.say([`HTTP ${status}`, ...[...headers].map(([name, value]) => `${name}: ${value}`), ''].join('\n'));
  if (response.body === null) return;
  if (/\bjson\b/.test(headers.get('content-type') ?? '')) {
    const text = await response.text();
    if (text !== '') output.document(JSON.parse(text));
    return;
  }
  await pipeline(Readable.fromWeb(response.body), process.stdout, { end: false });
}

async function readData(data: string, output: Invocation['output']): Promise<unknown> {
  if (data === '-') return parseJsonText(await readTextFile('-', output), 'standard input');
  if (data.startsWith('@')) return parseJsonText(await readTextFile(data.slice(1), output), data.slice(1));
  return parseJsonText(data, '--data');
}

function readHeaders(lines: string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf(':');
      if (at < 1) throw usageFault(`--header ${line}: write it as "name: value".`);
      return [line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()];
    }),
  );
}
