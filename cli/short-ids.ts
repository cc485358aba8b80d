import { KosError } from '#core/errors.ts';
import { idPattern } from '#schemas/ids.ts';
import type { Client, Page } from './client.ts';
import { usageFault } from './faults.ts';

/** A shortened id is looked for among this many of the newest. */
const searched = 1_000;
const pageSize = 200;
/** Fewer characters hit by chance. */
const shortest = 4;

/** How commands name the run they are about. */
export const runArgument = ['<run>', 'its id, a unique part of it, or "last"'] as const;

type Kind = 'run' | 'approval' | 'artifact' | 'credential' | 'link' | 'session';

/** What people call each, and the command that lists it. */
const words: Record<Kind, { name: string; list: string }> = {
  run: { name: 'run', list: 'kai run list' },
  approval: { name: 'approval', list: 'kai approval list' },
  artifact: { name: 'artifact', list: 'kai artifact list' },
  credential: { name: 'key', list: 'kai key list' },
  link: { name: 'invitation', list: 'kai member invitations' },
  session: { name: 'session', list: 'kai me sessions' },
};

type ListPage = (query: { limit: number; cursor?: string | undefined }) => Promise<Page<{ id: string }>>;

export const resolveScheduleId = (client: Client, given: string): Promise<string> => resolveName('schedule', given, client.schedules.list);

export const resolveTriggerId = (client: Client, given: string): Promise<string> => resolveName('trigger', given, client.triggers.list);

export const resolveWebhookId = (client: Client, given: string): Promise<string> => resolveName('webhook', given, client.webhooks.list);

export const resolveChannelId = (client: Client, given: string): Promise<string> => resolveName('channel', given, client.channels.list);

/** What has a name: an id as it is, anything else as a name. */
async function resolveName(
  kind: 'schedule' | 'trigger' | 'webhook' | 'channel',
  given: string,
  list: (query: { name: string; limit: number }) => Promise<Page<{ id: string }>>,
): Promise<string> {
  if (idPattern(kind).test(given)) return given;
  const [found] = (await list({ name: given, limit: 1 })).items;
  if (found !== undefined) return found.id;
  throw new KosError({ code: `${kind}_not_found`, message: `There is no ${kind} called "${given}".`, fix: `kai ${kind} list`, status: 404 });
}

export const resolveRunId = (client: Client, given: string): Promise<string> =>
  resolveId('run', given, (query) => client.runs.list(given === 'last' ? { ...query, parent: 'none' } : query));

export const resolveApprovalId = (client: Client, given: string): Promise<string> => resolveId('approval', given, (query) => client.approvals.list(query));

export const resolveArtifactId = (client: Client, given: string): Promise<string> => resolveId('artifact', given, (query) => client.artifacts.list(query));

export const resolveKeyId = (client: Client, given: string): Promise<string> => resolveId('credential', given, (query) => client.keys.list(query));

export const resolveInvitationId = (client: Client, given: string): Promise<string> => resolveId('link', given, (query) => client.members.invitations(query));

/** All of one's own come on one page. */
export const resolveSessionId = (client: Client, given: string): Promise<string> => resolveId('session', given, () => client.sessions.list());

/** A whole id as it is; `last` as the newest; else the one among the newest that begins or ends so. Ids made together begin alike: their ends differ. */
async function resolveId(kind: Kind, given: string, listPage: ListPage): Promise<string> {
  if (idPattern(kind).test(given)) return given;
  if (given === 'last') {
    const [newest] = (await listPage({ limit: 1 })).items;
    if (newest === undefined) throw nothingFound(`There is no ${words[kind].name} yet.`, kind);
    return newest.id;
  }
  if (given.length < shortest || !/^[a-z0-9_-]+$/.test(given)) {
    throw usageFault(
      `"${given}" is not the id of ${article(kind)}: give the whole id, at least ${shortest} characters of its end or beginning, or "last".`,
      `List them: ${words[kind].list}`,
    );
  }
  const matches = await findMatches(given, listPage);
  const [only, ...others] = matches;
  if (only === undefined) throw nothingFound(`None of the newest ${searched} ${words[kind].name}s has an id that begins or ends in "${given}".`, kind);
  if (others.length > 0)
    throw usageFault(
      `"${given}" fits ${matches.length} ${words[kind].name}s: ${matches.slice(0, 5).join(', ')}${matches.length > 5 ? ' …' : ''}.`,
      'Give more of the id.',
    );
  return only;
}

async function findMatches(given: string, listPage: ListPage): Promise<string[]> {
  const matches: string[] = [];
  let cursor: string | undefined;
  for (let seen = 0; seen < searched; seen += pageSize) {
    const page = await listPage({ limit: pageSize, cursor });
    matches.push(
      ...page.items.map((item) => item.id).filter((id) => id.endsWith(given) || id.startsWith(given) || id.slice(id.indexOf('_') + 1).startsWith(given)),
    );
    if (page.nextCursor === null) break;
    cursor = page.nextCursor;
  }
  return matches;
}

const article = (kind: Kind): string => (/^[aeiou]/.test(words[kind].name) ? `an ${words[kind].name}` : `a ${words[kind].name}`);

const nothingFound = (message: string, kind: Kind): KosError =>
  new KosError({ code: 'not_found', message, fix: `List them: ${words[kind].list}`, status: 404 });
