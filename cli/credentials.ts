import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Configuration } from '#config';
import { KosError } from '#core/errors.ts';

export interface Credentials {
  /** Base URL without a trailing slash. */
  url: string;
  /** Null: signed in by `headers`, or not yet. */
  apiKey: string | null;
  /** Sent with every request. */
  headers?: Record<string, string>;
  /** Whether the server is the one that `$KOS_HOME` belongs to; absent: not known. */
  local?: boolean;
}

const fileSchema = z.looseObject({ url: z.url(), apiKey: z.string().min(1), keyId: z.string().optional() });
type KeyFile = z.infer<typeof fileSchema>;

/** What `kai login` leaves: another server, and the key it made there. */
export const loginFilePath = (home: string): string => join(home, 'login.json');

/**
 * Where the server is and who we are: `KOS_URL` and `KOS_API_KEY` first, then what `kai login` left, then `$KOS_HOME/cli.json`, which every start
 * rewrites. A file's key goes to the file's server alone: a `KOS_URL` that names another one must come with a key of its own.
 */
export async function readCredentials(configuration: Pick<Configuration, 'home' | 'cli'>): Promise<Credentials> {
  const path = join(configuration.home, 'cli.json');
  const { cli } = configuration;
  if (cli.url !== undefined && cli.apiKey !== undefined) return { url: trimSlash(cli.url), apiKey: cli.apiKey, local: false };
  const login = cli.local ? null : await readKeyFile(loginFilePath(configuration.home));
  const file = login ?? (await readKeyFile(path));
  if (file === null) {
    throw cli.url === undefined ? notStarted(path) : noKey(cli.url);
  }
  const url = trimSlash(cli.url ?? file.url);
  const apiKey = cli.apiKey ?? (url === trimSlash(file.url) ? file.apiKey : undefined);
  if (apiKey === undefined) throw noKey(url);
  return { url, apiKey, local: login === null && url === trimSlash(file.url) };
}

export async function readKeyFile(path: string): Promise<KeyFile | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new KosError({
      code: 'key_file_unreadable',
      message: `${path} cannot be read (${code ?? 'unknown error'}): it holds the owner's key and belongs to whoever started kOS.`,
      fix: 'Run kai as that user, or set KOS_URL and KOS_API_KEY.',
      status: 403,
      cause: error,
    });
  }
  const parsed = fileSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new KosError({
    code: 'key_file_broken',
    message: `${path} is not the key file that a start, or kai login, writes.`,
    fix: path.endsWith('login.json') ? 'Sign in again: kai login' : 'Restart kOS, it rewrites the file: npm start',
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // judged by the schema, with the file's name
  }
}

const trimSlash = (url: string): string => url.replace(/\/+$/, '');

const notStarted = (path: string): KosError =>
  new KosError({
    code: 'never_started',
    message: `kOS has not been started here yet: ${path} does not exist.`,
    fix: 'Start it: npm start (or kai up). If it runs elsewhere, set KOS_HOME, or KOS_URL and KOS_API_KEY.',
    status: 503,
  });

const noKey = (url: string): KosError =>
  new KosError({ code: 'no_key', message: `There is no key for ${url}.`, fix: 'Set KOS_API_KEY to a key of that server.', status: 401 });
