import { mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { KosError } from '#core/errors.ts';
import { compare, type Named } from '#core/files/compare.ts';
import {
  channelDocument,
  rolesDocument,
  ruleDocument,
  scheduleDocument,
  settingsDocument,
  shortened,
  textOfDocument,
  triggerDocument,
  webhookDocument,
} from '#core/files/documents.ts';
import type { Present } from '#core/files/present.ts';
import { type FileText, readFiles, type Wanted } from '#core/files/wanted.ts';
import { type FileKind, fileKinds } from '#schemas/files.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { Client } from '../client.ts';
import { usageFault } from '../faults.ts';
import { fileFault } from '../input-files.ts';
import type { Invocation } from '../invocation.ts';
import { visibleLine } from '../terminal-text.ts';
import { readFolder } from './folder.ts';
import { all, byName } from './present.ts';

export interface ExportOptions {
  only?: FileKind[];
  overwrite?: boolean;
}

/** Something that is there, as a file. */
interface Exported extends Named {
  /** Within the folder, where it has no file yet. */
  path: string;
  document: JsonObject;
  /** A plan is kept as it was written. */
  source?: string;
}

/** Writes what is there, and touches no file that says the same already. Nothing is written where a file says something else, unless `--overwrite`. */
export async function exportFiles({ client, output }: Invocation, folder: string, { only, overwrite }: ExportOptions): Promise<void> {
  const kinds = only ?? fileKinds;
  const { present, exported } = await readAll(client, kinds);
  const { wanted } = readFiles((await isThere(folder)) ? await readFolder(folder) : []);
  const files = filesToWrite(folder, exported, wanted, present);
  const inTheWay = (await Promise.all(files.map(async ({ path }) => ((await isThere(path)) ? [path] : [])))).flat();
  if (inTheWay.length > 0 && overwrite !== true) throw filesExist(inTheWay);
  for (const { path, text } of files) await write(path, text);
  const leftOut = kinds.includes('roles') ? present.members.filter(({ login }) => login === null).map(({ name }) => name) : [];
  const written = files.map(({ path }) => path);
  if (output.json) {
    output.document({ folder, written, unchanged: exported.length - written.length, leftOut });
    return;
  }
  for (const path of written) output.data(path);
  output.say(`Wrote ${written.length}; ${exported.length - written.length} said the same already.`);
  if (leftOut.length > 0) output.say(`Left out, since they have no login to be named by: ${leftOut.map(visibleLine).join(', ')}.`);
}

async function readAll(client: Client, kinds: readonly FileKind[]): Promise<{ present: Present; exported: Exported[] }> {
  const ask = async <Item>(kind: FileKind, list: Parameters<typeof all<Item>>[0]): Promise<Item[]> => (kinds.includes(kind) ? await all(list) : []);
  const plans = await ask('plan', (query) => client.plans.list(query));
  const schedules = await ask('schedule', (query) => client.schedules.list(query));
  const triggers = await ask('trigger', (query) => client.triggers.list(query));
  const webhooks = await ask('webhook', (query) => client.webhooks.list(query));
  const channels = await ask('channel', (query) => client.channels.list(query));
  const rules = await ask('rule', () => client.rules.list());
  const members = await ask('roles', (query) => client.members.list(query));
  const settings = kinds.includes('settings') ? (await client.settings.get()).value : null;
  const roles = rolesDocument(members);
  const exported: Exported[] = [];
  for (const { name } of plans) {
    const { document, source } = await client.plans.get(name, null);
    exported.push({ kind: 'plan', name, path: `plans/${name}.plan.${isJson(source) ? 'json' : 'yaml'}`, document, source });
  }
  exported.push(
    ...exportedNamed('rule', rules, ruleDocument),
    ...exportedNamed('schedule', schedules, scheduleDocument),
    ...exportedNamed('trigger', triggers, triggerDocument),
    ...exportedNamed('webhook', webhooks, webhookDocument),
    ...exportedNamed('channel', channels, channelDocument),
    ...(settings === null ? [] : [{ kind: 'settings' as const, name: 'settings', path: 'settings.yaml', document: settingsDocument(settings) }]),
    ...(roles === null ? [] : [{ kind: 'roles' as const, name: 'roles', path: 'roles.yaml', document: roles }]),
  );
  const present = {
    settings,
    plans: byName(plans),
    documents: new Map(),
    schedules: byName(schedules),
    triggers: byName(triggers),
    webhooks: byName(webhooks),
    channels: byName(channels),
    rules: byName(rules),
    tools: [],
    members,
    invitations: new Map(),
  };
  return { present, exported };
}

const exportedNamed = <Shown extends { name: string }>(kind: FileKind, those: readonly Shown[], documentOf: (shown: Shown) => JsonObject): Exported[] =>
  those.map((one) => ({ kind, name: one.name, path: `${kind}s/${one.name}.yaml`, document: documentOf(one) }));

/** JSON where the file is one, whatever was saved. */
function textFor(path: string, { document, source }: Exported): string {
  if (path.endsWith('.json')) return source !== undefined && isJson(source) ? source : `${JSON.stringify(shortened(document), null, 2)}\n`;
  return source ?? textOfDocument(document);
}

function isJson(source: string): boolean {
  try {
    JSON.parse(source);
    return true;
  } catch {
    return false; // YAML, then
  }
}

/** Those that no file of the folder says, each in the file that it has or is to have. */
function filesToWrite(folder: string, exported: readonly Exported[], wanted: Wanted, present: Present): FileText[] {
  const { unchanged } = compare(wanted, present, { prune: false });
  const isSaid = (kind: FileKind, name: string): boolean => unchanged.some((one) => one.kind === kind && one.name === name);
  return exported.flatMap((one) => {
    const { kind, name } = one;
    const said = kind === 'roles' ? present.members.every(({ login }) => login === null || isSaid('roles', login)) : isSaid(kind, name);
    const path = pathOf(wanted, kind, name) ?? join(folder, one.path);
    return said ? [] : [{ path, text: textFor(path, one) }];
  });
}

/** Where it stands in the folder already. */
function pathOf(wanted: Wanted, kind: FileKind, name: string): string | undefined {
  switch (kind) {
    case 'settings':
      return wanted.settings?.path;
    case 'plan':
      return wanted.plans.get(name)?.path;
    case 'schedule':
      return wanted.schedules.get(name)?.path;
    case 'trigger':
      return wanted.triggers.get(name)?.path;
    case 'webhook':
      return wanted.webhooks.get(name)?.path;
    case 'channel':
      return wanted.channels.get(name)?.path;
    case 'rule':
      return wanted.rules.get(name)?.path;
    case 'roles': {
      const [path, ...others] = new Set([...wanted.roles.values()].map((written) => written.path));
      if (others.length > 0)
        throw usageFault(
          `Roles stand in ${others.length + 1} files, and not as they are now: ${[path, ...others].join(', ')}.`,
          'Put them into one file, or leave them out: --only plans,rules,schedules,triggers,webhooks,channels,settings',
        );
      return path;
    }
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw fileFault(path, error);
  }
}

async function write(path: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  } catch (error) {
    throw fileFault(path, error);
  }
}

const filesExist = (paths: readonly string[]): KosError =>
  new KosError({
    code: 'file_exists',
    message: `These files say something else, and nothing was written: ${paths.join(', ')}.`,
    fix: 'Replace them with --overwrite, or see what differs: kai apply -f FOLDER --dry-run',
    status: 409,
    extra: { files: [...paths] },
  });
