import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import { checkWanted, usersOfRemoved } from '#core/files/check.ts';
import { compare, type Comparison, type FileChange } from '#core/files/compare.ts';
import { type FileFault, type FileText, readFiles, type Wanted, type WantedPlan } from '#core/files/wanted.ts';
import { nameOfReference } from '#core/plan/called-plans.ts';
import { readText } from '#core/plan/source.ts';
import { isRole } from '#core/policy/permissions.ts';
import type { FileKind } from '#schemas/files.ts';
import type { PlanDiff } from '#schemas/plan-diff.ts';
import type { PlanText } from '#schemas/plan-text.ts';
import type { Client, Me } from '../client.ts';
import { confirmed } from '../confirm.ts';
import { exitCodes } from '../exit-codes.ts';
import { usageFault } from '../faults.ts';
import { readTextFile } from '../input-files.ts';
import type { Invocation } from '../invocation.ts';
import type { Output } from '../output.ts';
import { describePlanFaults } from '../plan-faults.ts';
import { readFolder } from './folder.ts';
import { type Made, perform, type Work } from './perform.ts';
import { type Reading, readPresent } from './present.ts';
import { describeComparison, describeMade, describeOthers, faultyFiles, type PlanDiffs } from './view.ts';

export interface ApplyOptions {
  file: string;
  only?: FileKind[];
  secrets?: string;
  prune?: boolean;
  dryRun?: boolean;
  yes?: boolean;
}

/** Reads, checks everything, shows what would change; then, and only when nothing is wrong, changes it through the routes that there are. */
export async function applyFiles(invocation: Invocation, options: ApplyOptions): Promise<void> {
  const { client, output } = invocation;
  const prune = options.prune === true;
  const files = await readFolder(options.file);
  if (files.length === 0) throw usageFault(`There is no YAML or JSON file in ${options.file}.`, 'Write what is there as files: kai export FOLDER');
  const secrets = options.secrets === undefined ? new Map<string, string>() : await readSecrets(options.secrets, output);
  const read = readFiles(files);
  const wanted = options.only === undefined ? read.wanted : narrowed(read.wanted, options.only);
  const [reading, me] = [await readPresent(client, wanted, { prune }), await client.me()];
  const checked = checkWanted(wanted, reading.present, { prune, ownRoles: me.roles.filter(isRole), secrets });
  refuseFaults(output, files, [...read.faults, ...checked, ...(await checkPlans(client, wanted, reading))]);
  const comparison = compare(wanted, reading.present, { prune });
  refuseUsed(wanted, reading, comparison);
  const diffs = await diffPlans(client, wanted, comparison);
  const missing = missingPermissions(me, comparison);
  show(output, comparison, diffs);
  if (options.dryRun === true) {
    if (missing.length > 0) output.say(`You may not make all of these changes: you do not have ${missing.join(', ')}.`);
    conclude(output, { comparison, diffs, applied: null });
    if (comparison.changes.length > 0) invocation.exitCode = exitCodes.wouldChange;
    return;
  }
  if (missing.length > 0) throw notAllowed(missing);
  const isWanted =
    comparison.changes.length === 0 || options.yes === true || (await confirmed(output, 'Make these changes?', 'Apply without being asked: --yes'));
  if (!isWanted) {
    output.say('Nothing was changed.');
    invocation.exitCode = exitCodes.error;
    return;
  }
  await changeAll(output, { client, wanted, reading, secrets }, comparison, diffs);
}

/** One after the other. What a change has made is shown also when a later one fails: nobody could learn it any more. */
async function changeAll(output: Output, work: Work, comparison: Comparison, diffs: PlanDiffs): Promise<void> {
  const applied: { change: FileChange; made: Made | null }[] = [];
  try {
    for (const change of comparison.changes) applied.push({ change, made: await perform(work, change) });
  } catch (error) {
    conclude(output, { comparison, diffs, applied });
    const failed = comparison.changes[applied.length];
    const rest = comparison.changes.length - applied.length;
    output.say(
      `${failed?.kind ?? ''} ${failed?.name ?? ''} could not be changed. Changed before it: ${applied.length}; not changed: ${rest}. Repeat when it is mended; what is done is done once.`,
    );
    throw error;
  }
  conclude(output, { comparison, diffs, applied });
  if (!output.json && applied.length > 0) output.say(`Changed ${applied.length}.`);
}

function show(output: Output, comparison: Comparison, diffs: PlanDiffs): void {
  if (output.json) return;
  output.data(comparison.changes.length === 0 ? 'No changes.' : describeComparison(comparison, diffs, output.dataColours));
  if (comparison.others.length > 0) output.say(output.talkColours.dim(describeOthers(comparison.others)));
}

interface Outcome {
  comparison: Comparison;
  diffs: PlanDiffs;
  /** Null: nothing was to be. */
  applied: { change: FileChange; made: Made | null }[] | null;
}

function conclude(output: Output, { comparison, diffs, applied }: Outcome): void {
  const made = (applied ?? []).flatMap((one) => (one.made === null ? [] : [one.made]));
  if (!output.json) {
    const now = Date.now();
    for (const one of made) output.data(describeMade(one, now).join('\n'));
    if (made.length > 0) output.say('These are shown this once.');
    return;
  }
  const changes = comparison.changes.map(({ path, ...change }, index) => ({
    ...change,
    file: path,
    ...(diffs.has(change.name) && change.kind === 'plan' ? { plan: diffs.get(change.name) } : {}),
    applied: applied !== null && index < applied.length,
  }));
  output.document({ dryRun: applied === null, changes, unchanged: comparison.unchanged, others: comparison.others, made });
}

/** Throws KosError `files_invalid` (422): no file is applied when one is faulty. */
function refuseFaults(output: Output, files: readonly FileText[], faults: readonly FileFault[]): void {
  const faulty = faultyFiles(files, faults);
  if (faulty.length === 0) return;
  if (!output.json) for (const file of faulty) output.say(describePlanFaults(file, output.talkColours));
  throw new KosError({
    code: 'files_invalid',
    message: `${faults.length === 1 ? '1 fault' : `${faults.length} faults`} in ${faulty.length === 1 ? '1 file' : `${faulty.length} files`}: nothing was changed.`,
    fix: 'Correct them, then repeat.',
    status: 422,
    extra: { files: faulty.map(({ path, errors }) => ({ file: path, errors })) },
  });
}

/** Throws KosError `plan_in_use` (409). */
function refuseUsed(wanted: Wanted, { present }: Reading, { changes }: Comparison): void {
  const removed = (kind: FileKind): Set<string> =>
    new Set(changes.flatMap((change) => (change.kind === kind && change.action === 'remove' ? [change.name] : [])));
  const users = usersOfRemoved(present, { plans: removed('plan'), schedules: removed('schedule'), triggers: removed('trigger') }, wanted);
  if (users.length === 0) return;
  throw new KosError({
    code: 'plan_in_use',
    message: `--prune would remove plans that are in use: ${users.slice(0, 5).join(', ')}${users.length > 5 ? ' …' : ''}.`,
    fix: 'Add their files (kai export writes them), or leave --prune out.',
    status: 409,
  });
}

/** Names, types and tools, by the server: each plan together with those that it runs. One that is saved as it is and runs no other was checked then. */
async function checkPlans(client: Client, { plans, unreadable }: Wanted, { present }: Reading): Promise<FileFault[]> {
  const faults: FileFault[] = [];
  for (const plan of plans.values()) {
    if (plan.calls.length === 0 && present.plans.get(plan.name)?.digest === plan.digest) continue;
    if (plan.calls.some((reference) => unreadable.has(nameOfReference(reference)))) continue;
    const { errors } = await client.plans.validateAmong({ source: plan.source, format: plan.format, beside: calledBy(plan, plans) });
    faults.push(...errors.map((fault) => ({ path: plan.path, fault })));
  }
  return faults;
}

/** The plans in files that a plan runs, and those that these run; itself, where they lead back to it. */
function calledBy(plan: WantedPlan, plans: Wanted['plans']): PlanText[] {
  const found = new Map<string, WantedPlan>();
  const visit = ({ calls }: WantedPlan): void => {
    for (const reference of calls) {
      const called = plans.get(nameOfReference(reference));
      if (called === undefined || found.has(called.name)) continue;
      found.set(called.name, called);
      visit(called);
    }
  };
  visit(plan);
  return [...found.values()].map(({ source, format }) => ({ source, format }));
}

async function diffPlans(client: Client, { plans }: Wanted, { changes }: Comparison): Promise<PlanDiffs> {
  const diffs = new Map<string, PlanDiff>();
  for (const { kind, name, action } of changes) {
    const plan = kind === 'plan' && action === 'change' ? plans.get(name) : undefined;
    if (plan !== undefined) diffs.set(name, await client.plans.diff(name, { source: plan.source, format: plan.format, beside: calledBy(plan, plans) }));
  }
  return diffs;
}

const permissionOf: Readonly<Record<FileKind, string>> = {
  settings: 'settings:write',
  plan: 'plans:write',
  rule: 'rules:write',
  schedule: 'schedules:write',
  trigger: 'triggers:write',
  webhook: 'webhooks:write',
  channel: 'channels:write',
  roles: 'members:write',
};

/** Nobody hands on a right that they do not have. */
const handedOnBy: Readonly<Partial<Record<FileKind, string>>> = { schedule: 'runs:start', trigger: 'runs:start', webhook: 'runs:read', channel: 'runs:read' };

/** What would be refused half-way is seen before anything is done. */
function missingPermissions({ permissions }: Me, { changes }: Comparison): string[] {
  const needed = new Set(changes.map(({ kind }) => permissionOf[kind]));
  for (const { kind, action } of changes) {
    const handedOn = action === 'remove' ? undefined : handedOnBy[kind];
    if (handedOn !== undefined) needed.add(handedOn);
  }
  return [...needed].filter((permission) => !permissions.includes(permission));
}

const notAllowed = (missing: readonly string[]): KosError =>
  new KosError({
    code: 'permission_missing',
    message: `These changes need ${missing.join(', ')}, which this credential does not have: nothing was changed.`,
    fix: 'See who can help: kai whoami --may PERMISSION. A key needs it among its scopes; a dry run needs no right to write.',
    status: 403,
  });

function narrowed(wanted: Wanted, only: readonly FileKind[]): Wanted {
  const keep = <Entries>(kind: FileKind, entries: Entries, none: Entries): Entries => (only.includes(kind) ? entries : none);
  return {
    settings: keep('settings', wanted.settings, null),
    plans: keep('plan', wanted.plans, new Map()),
    schedules: keep('schedule', wanted.schedules, new Map()),
    triggers: keep('trigger', wanted.triggers, new Map()),
    webhooks: keep('webhook', wanted.webhooks, new Map()),
    channels: keep('channel', wanted.channels, new Map()),
    rules: keep('rule', wanted.rules, new Map()),
    roles: keep('roles', wanted.roles, new Map()),
    unreadable: wanted.unreadable,
  };
}

async function readSecrets(path: string, output: Output): Promise<Map<string, string>> {
  const read = readText(await readTextFile(path, output));
  const secrets = read.ok ? z.record(z.string(), z.string().min(1)).safeParse(read.document) : null;
  // What is wrong with it is not quoted: it would show what stands there.
  if (secrets?.success !== true)
    throw usageFault(
      `${path === '-' ? 'Standard input' : path} does not hold secrets.`,
      'Write a line "NAME: SECRET" for each trigger, "NAME: ADDRESS" for each channel.',
    );
  return new Map(Object.entries(secrets.data));
}
