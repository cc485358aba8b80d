import type { Command } from 'commander';
import type { PlanSide } from '#schemas/plan-diff.ts';
import type { PlanText } from '#schemas/plan-text.ts';
import { exitCodes } from '../exit-codes.ts';
import { asKosError, usageFault } from '../faults.ts';
import { readTextFile } from '../input-files.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, type ListOptions, showPage } from '../lists.ts';
import { describePlanDiff } from '../plan-diff-view.ts';
import { describePlanFaults, type PlanFile } from '../plan-faults.ts';
import { parsePlanReference } from '../plan-reference.ts';
import { describeInstant } from '../times.ts';

export function definePlan(plan: Command, invocation: Invocation): void {
  plan
    .command('validate')
    .summary('check plans without saving them')
    .argument('<files...>', 'YAML or JSON files; - for standard input')
    .action(async (files: string[]) => {
      await validate(invocation, files);
    });
  plan
    .command('save')
    .summary('check plans and save each as a new version')
    .argument('<files...>', 'YAML or JSON files; - for standard input')
    .action(async (files: string[]) => {
      await save(invocation, files);
    });
  addListOptions(plan.command('list').summary('saved plans')).action(async (options: ListOptions) => {
    const now = Date.now();
    showPage(invocation, await invocation.client.plans.list({ ...options }), {
      headings: ['PLAN', 'SAVED', 'DESCRIPTION'],
      row: (saved) => [`${saved.name}@${saved.version}`, describeInstant(saved.createdAt, now), saved.description ?? ''],
      empty: 'No plan has been saved yet. Save one: kai plan save FILE (examples stand in examples/).',
    });
  });
  addListOptions(plan.command('versions').summary('every version of a plan, newest first').argument('<plan>', 'NAME')).action(
    async (name: string, options: ListOptions) => {
      const now = Date.now();
      showPage(invocation, await invocation.client.plans.versions(name, { ...options }), {
        headings: ['VERSION', 'SAVED', 'BY', 'DIGEST', 'DESCRIPTION'],
        row: (saved) => [
          `${saved.name}@${saved.version}`,
          describeInstant(saved.createdAt, now),
          saved.createdBy,
          saved.digest.slice(0, 12),
          saved.description ?? '',
        ],
        empty: `There is no plan called ${name}.`,
      });
    },
  );
  plan
    .command('diff')
    .summary('what differs between two plans: steps, bounds, tools, approvals, cost')
    .argument('<from>', 'NAME, NAME@VERSION, or a file')
    .argument('<to>', 'the same')
    .action(async (from: string, to: string) => {
      const { client, output } = invocation;
      const diff = await client.plans.diff(await sideOf(invocation, from), await sideOf(invocation, to));
      if (output.json) output.document(diff);
      else output.data(describePlanDiff(diff, output.dataColours));
    });
  plan
    .command('get')
    .summary('a saved plan as it was written')
    .argument('<plan>', 'NAME, or NAME@VERSION')
    .action(async (reference: string) => {
      await show(invocation, reference);
    });
  plan
    .command('remove')
    .summary('remove a plan that nothing uses; saving it brings it back')
    .argument('<plan>', 'NAME')
    .action(async (name: string) => {
      await invocation.client.plans.remove(name);
      if (invocation.output.json) invocation.output.document({ name, removed: true });
      else invocation.output.say(`Removed ${name}. Its versions and runs stay.`);
    });
}

async function validate(invocation: Invocation, paths: string[]): Promise<void> {
  const { output, client } = invocation;
  const files: PlanFile[] = [];
  for (const path of oneStandardInput(paths)) {
    const source = await readTextFile(path, output);
    files.push({ path, source, errors: await faultsOf(() => client.plans.validate({ source, format: formatOf(path) })) });
  }
  const faulty = files.filter((file) => file.errors.length > 0);
  if (output.json) {
    output.document({ items: files.map(({ path, errors }) => ({ file: path, valid: errors.length === 0, errors })) });
  } else {
    for (const file of files) {
      output.data(file.errors.length === 0 ? `${file.path}: ${output.dataColours.green('valid')}` : describePlanFaults(file, output.dataColours));
    }
  }
  invocation.exitCode = faulty.length === 0 ? exitCodes.ok : exitCodes.error;
}

/** A plan that cannot be saved does not keep the others from being saved; the exit code tells. */
async function save(invocation: Invocation, paths: string[]): Promise<void> {
  const { output, client } = invocation;
  const saved: object[] = [];
  for (const path of oneStandardInput(paths)) {
    const source = await readTextFile(path, output);
    let savedHere: object | null = null;
    const errors = await faultsOf(async () => {
      const version = await client.plans.save({ source, format: formatOf(path) });
      savedHere = { file: path, name: version.name, version: version.version, digest: version.digest };
      if (!output.json) output.data(`${version.name}@${version.version}`);
      return { errors: [] };
    });
    if (savedHere === null) {
      invocation.exitCode = exitCodes.error;
      if (!output.json) output.say(describePlanFaults({ path, source, errors }, output.talkColours));
    }
    saved.push(savedHere ?? { file: path, errors });
  }
  if (output.json) output.document({ items: saved });
}

/** Faults in the text are results; anything else (no server, no permission) ends the command. */
async function faultsOf(ask: () => Promise<{ errors: PlanFile['errors'] }>): Promise<PlanFile['errors']> {
  try {
    return (await ask()).errors;
  } catch (thrown) {
    const error = asKosError(thrown);
    const aboutText = error.status === 400 || error.status === 413 || error.status === 422;
    if (!aboutText || error.code === 'usage') throw error;
    return error.details.length > 0 ? error.details : [{ pointer: '', message: error.message, ...(error.fix === null ? {} : { suggestion: error.fix }) }];
  }
}

function oneStandardInput(paths: string[]): string[] {
  if (paths.filter((path) => path === '-').length > 1) throw usageFault('Standard input (-) can be read once.');
  return paths;
}

async function show({ output, client }: Invocation, reference: string): Promise<void> {
  const { name, version } = parsePlanReference(reference);
  const plan = await client.plans.get(name, version);
  if (output.json) output.document(plan);
  else output.data(plan.source.trimEnd());
}

/** JSON is YAML, but its own parser says better what is wrong with it. */
const formatOf = (path: string): PlanText['format'] => (path.endsWith('.json') ? 'json' : 'yaml');

/** What looks like a name is a saved plan; `./name` is a file in any case. */
async function sideOf({ output }: Invocation, given: string): Promise<PlanSide> {
  if (/^[a-z][a-z0-9-]*(@[0-9]+)?$/.test(given)) return given;
  return { source: await readTextFile(given, output), format: formatOf(given) };
}
