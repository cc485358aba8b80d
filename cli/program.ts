import { Command } from 'commander';
import type { Invocation } from './invocation.ts';
import { withLikelyHint } from './likely-hint.ts';

type Define = (command: Command, invocation: Invocation, wholeProgram: () => Promise<Command>) => void;

interface Group {
  name: string;
  summary: string;
  heading: string;
  load(): Promise<Define>;
}

const work = 'Work:';
const installation = 'Installation:';
const people = 'People and programs:';
const more = 'More:';

/** Every first word. A group's module is loaded only when it is the one that was called: a command line starts many times a day. */
const groups: readonly Group[] = [
  { name: 'run', heading: work, summary: 'start, watch, explain and cancel runs', load: async () => (await import('./commands/run.ts')).defineRun },
  {
    name: 'approval',
    heading: work,
    summary: 'see what waits for a decision, and decide',
    load: async () => (await import('./commands/approval.ts')).defineApproval,
  },
  { name: 'plan', heading: work, summary: 'check, save and read plans', load: async () => (await import('./commands/plan.ts')).definePlan },
  {
    name: 'schedule',
    heading: work,
    summary: 'start runs by the clock',
    load: async () => (await import('./commands/schedule.ts')).defineSchedule,
  },
  {
    name: 'trigger',
    heading: work,
    summary: 'start runs by webhooks',
    load: async () => (await import('./commands/trigger.ts')).defineTrigger,
  },
  {
    name: 'webhook',
    heading: work,
    summary: 'tell programs outside of what happens',
    load: async () => (await import('./commands/webhook.ts')).defineWebhook,
  },
  {
    name: 'channel',
    heading: work,
    summary: 'tell people of failures and of what waits for them, in Slack, Discord, Teams or elsewhere',
    load: async () => (await import('./commands/channel.ts')).defineChannel,
  },
  {
    name: 'apply',
    heading: work,
    summary: 'make plans, schedules, triggers, webhooks, channels, rules, settings and roles what files say',
    load: async () => (await import('./commands/apply.ts')).defineApply,
  },
  {
    name: 'export',
    heading: work,
    summary: 'write plans, schedules, triggers, webhooks, channels, rules, settings and roles as files',
    load: async () => (await import('./commands/export.ts')).defineExport,
  },
  {
    name: 'artifact',
    heading: work,
    summary: 'list and fetch what runs have produced',
    load: async () => (await import('./commands/artifact.ts')).defineArtifact,
  },
  {
    name: 'pause',
    heading: work,
    summary: 'start no new run of the workspace; what runs goes on',
    load: async () => (await import('./commands/starts.ts')).definePauseAll,
  },
  {
    name: 'resume',
    heading: work,
    summary: 'let new runs start again, in their order',
    load: async () => (await import('./commands/starts.ts')).defineResumeAll,
  },
  { name: 'events', heading: work, summary: 'follow what happens in the workspace', load: async () => (await import('./commands/events.ts')).defineEvents },
  {
    name: 'cache',
    heading: work,
    summary: 'forget outputs that are kept for reuse',
    load: async () => (await import('./commands/cache.ts')).defineCache,
  },
  {
    name: 'up',
    heading: installation,
    summary: 'start kOS here (the same as npm start)',
    load: async () => (await import('./commands/installation.ts')).defineUp,
  },
  {
    name: 'codec',
    heading: installation,
    summary: "what Temporal's own UI and CLI need to read payloads",
    load: async () => (await import('./commands/codec.ts')).defineCodec,
  },
  { name: 'status', heading: installation, summary: 'what runs, what waits', load: async () => (await import('./commands/installation.ts')).defineStatus },
  {
    name: 'doctor',
    heading: installation,
    summary: 'examine this machine and this installation',
    load: async () => (await import('./commands/installation.ts')).defineDoctor,
  },
  {
    name: 'settings',
    heading: installation,
    summary: 'folders and hosts that tools may reach, retention',
    load: async () => (await import('./commands/settings.ts')).defineSettings,
  },
  {
    name: 'secret',
    heading: installation,
    summary: 'store secrets that tools may use; write-only',
    load: async () => (await import('./commands/secret.ts')).defineSecret,
  },
  {
    name: 'open',
    heading: people,
    summary: 'sign in to this installation in a browser, by a one-time link',
    load: async () => (await import('./commands/sign-in.ts')).defineOpen,
  },
  { name: 'login', heading: people, summary: 'sign kai in to another server', load: async () => (await import('./commands/sign-in.ts')).defineLogin },
  { name: 'logout', heading: people, summary: 'end what login began', load: async () => (await import('./commands/sign-in.ts')).defineLogout },
  {
    name: 'whoami',
    heading: people,
    summary: 'who kai is here, what it may do, and why not',
    load: async () => (await import('./commands/sign-in.ts')).defineWhoami,
  },
  {
    name: 'me',
    heading: people,
    summary: 'your own name, preferences, sessions and password',
    load: async () => (await import('./commands/me.ts')).defineMe,
  },
  { name: 'key', heading: people, summary: 'API keys for programs', load: async () => (await import('./commands/key.ts')).defineKey },
  {
    name: 'mcp',
    heading: people,
    summary: 'let assistants call plans, by the Model Context Protocol',
    load: async () => (await import('./commands/mcp.ts')).defineMcp,
  },
  {
    name: 'member',
    heading: people,
    summary: 'who belongs to this workspace, with which roles; invitations',
    load: async () => (await import('./commands/member.ts')).defineMember,
  },
  {
    name: 'workspace',
    heading: people,
    summary: 'the workspaces you belong to; make one',
    load: async () => (await import('./commands/workspace.ts')).defineWorkspace,
  },
  { name: 'demo', heading: more, summary: 'see kOS survive', load: async () => (await import('./commands/demo.ts')).defineDemo },
  { name: 'api', heading: more, summary: 'send any request to the API, signed in', load: async () => (await import('./commands/api.ts')).defineApi },
  {
    name: 'completion',
    heading: more,
    summary: 'completion for bash, zsh or fish',
    load: async () => (await import('./commands/completion.ts')).defineCompletion,
  },
  { name: 'version', heading: more, summary: 'the version of kai', load: async () => (await import('./commands/installation.ts')).defineVersion },
];

/** The program with the group that `words` call for. */
export async function buildProgram(words: readonly string[], invocation: Invocation): Promise<Command> {
  const called = words.find((word) => !word.startsWith('-'));
  return await addGroups(invocation, (group) => group.name === called);
}

/** With every group's commands, which a usual start does not load. */
export const buildWholeProgram = (invocation: Invocation): Promise<Command> => addGroups(invocation, () => true);

async function addGroups(invocation: Invocation, isWanted: (group: Group) => boolean): Promise<Command> {
  const program = createProgram();
  for (const group of groups) {
    const command = program.command(group.name).summary(group.summary).description(sentence(group.summary)).helpGroup(group.heading).helpCommand(false);
    if (isWanted(group)) (await group.load())(command, invocation, () => buildWholeProgram(invocation));
  }
  return program;
}

const sentence = (summary: string): string => `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;

function createProgram(): Command {
  return new Command('kai')
    .description('kOS on the command line: start plans, watch runs, decide approvals.')
    .option('--json', 'print data as one JSON document (JSON lines where it streams)')
    .option('--no-color', 'no colours (NO_COLOR does the same)')
    .option('-v, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({ writeErr: (text) => void process.stderr.write(text), outputError: (text, write) => write(withLikelyHint(text)) })
    .showSuggestionAfterError(true)
    .exitOverride()
    .addHelpText(
      'after',
      `
Ids may be shortened to any end or beginning that is unique; "last" is the newest.
Exit codes: 0 ok, 1 error, 2 usage, 3 run not succeeded, 4 not allowed, 5 not found, 6 conflict, 7 wait timed out, 8 human needed, 9 something would change.`,
    );
}
