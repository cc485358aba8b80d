import { join } from 'node:path';
import { KosError } from '#core/errors.ts';
import type { KosEvent } from '#schemas/event.ts';
import type { Step } from '#schemas/run.ts';
import { signalProcess } from '#services/embedded/process-identity.ts';
import { exitCodes } from '../exit-codes.ts';
import { readPartRecord } from '../installation/home-facts.ts';
import type { Invocation } from '../invocation.ts';
import { followRun } from '../run/follow.ts';
import { tellOutcome } from '../run/outcome.ts';
import { endedItems, splitPath, type StepTree } from '../run/step-tree.ts';
import { createProgress } from '../run/start.ts';
import { describeDuration } from '../times.ts';
import { newIdempotencyKey } from '../transport.ts';
import { noteSign, type Silence, silenceSince } from './silence.ts';
import { countTraces, markTraces, type TraceCount, type TraceMarks } from './traces.ts';

const plan = 'fan-out';

interface Crash {
  pid: number;
  /** Items done when it was killed. */
  done: number;
  silence: Silence;
  /** Of the traces that stood when it was killed. */
  marks: TraceMarks;
}

/** `kai demo crash`: exit code 0 only if every item has left exactly one trace. */
export async function demonstrateCrash(invocation: Invocation, items: number): Promise<void> {
  const { client, output } = invocation;
  const { home } = await invocation.configuration();
  await requireLocalWorker(invocation, home);
  const started = await client.runs.start({ plan, input: { count: items } }, newIdempotencyKey());
  const folder = join(home, 'workspace', plan, started.id);
  output.say(`${started.id} started: ${items} items, each with one effect. The worker is killed when half of them are done.`);
  let crash = null as Crash | null;
  const outcome = await followRun(invocation, {
    runId: started.id,
    timeoutMs: null,
    people: 'wait',
    progress: (tree, run) => createProgress(invocation, tree, run, (line) => output.say(line)),
    onEvent: async (event, tree, progress) => {
      if (crash !== null) noteWork(crash, event);
      else if (itemsDone(tree) >= items / 2) {
        crash = await killWorker(home, folder, itemsDone(tree));
        progress.note(`Killed the worker (process ${crash.pid}, SIGKILL) with ${crash.done} of ${items} items done.`);
      }
    },
  });
  if (outcome.kind !== 'ended' || outcome.run.status !== 'succeeded') {
    invocation.exitCode = await tellOutcome(invocation, outcome, { runId: started.id, timeoutMs: null, data: 'none' });
    return;
  }
  const traces = await countTraces(folder, started.id, items, crash?.marks);
  report(invocation, { runId: started.id, items, crash, traces, foundDone: await countFoundDone(invocation, started.id) });
}

const itemsDone = (tree: StepTree): number => Math.max(0, ...[...tree.steps.values()].map((line) => (line.items === null ? 0 : endedItems(line.items))));

/** A worker on another machine is not ours to kill. */
async function requireLocalWorker({ client }: Invocation, home: string): Promise<void> {
  await client.me();
  if ((await readPartRecord(home, 'worker')) !== null) return;
  throw new KosError({
    code: 'no_local_worker',
    message: `No worker of ${home} runs on this machine: there is nothing here to kill.`,
    fix: 'Start kOS here (npm start), and set KOS_HOME if its home is another one.',
    status: 409,
  });
}

async function killWorker(home: string, folder: string, done: number): Promise<Crash> {
  const worker = await readPartRecord(home, 'worker');
  if (worker === null || !(await signalProcess(worker, 'SIGKILL'))) {
    throw new KosError({ code: 'worker_gone', message: 'The worker was gone before it could be killed.', fix: 'kai doctor', status: 409 });
  }
  const silence = silenceSince(Date.now());
  return { pid: worker.pid, done, silence, marks: await markTraces(folder) };
}

/** Events are stamped by the database, on this machine's clock. */
function noteWork(crash: Crash, event: KosEvent): void {
  if (event.type.startsWith('step.')) crash.silence = noteSign(crash.silence, Date.parse(event.at));
}

/** Items whose effect was there already when the answer that counts was given: asked for more than once, done once. */
async function countFoundDone({ client }: Invocation, runId: string): Promise<number> {
  let count = 0;
  let cursor: string | undefined;
  for (;;) {
    const page = await client.runs.steps(runId, { limit: 200, cursor });
    count += page.items.filter((step) => splitPath(step.path).item !== null && wasFoundDone(step)).length;
    if (page.nextCursor === null) return count;
    cursor = page.nextCursor;
  }
}

/** `fs.create` says `created: false` when what it was to make was there already. */
const wasFoundDone = ({ output }: Step): boolean => typeof output === 'object' && output !== null && !Array.isArray(output) && output['created'] === false;

interface Report {
  runId: string;
  items: number;
  crash: Crash | null;
  traces: TraceCount;
  foundDone: number;
}

function report(invocation: Invocation, { runId, items, crash, traces, foundDone }: Report): void {
  const { output } = invocation;
  const exact = crash !== null && traces.exact === items && traces.foreign === 0;
  const silenceMs = crash?.silence.longestMs ?? null;
  invocation.exitCode = exact ? exitCodes.ok : exitCodes.error;
  if (output.json) {
    output.document({
      runId,
      items,
      killedPid: crash?.pid ?? null,
      doneWhenKilled: crash?.done ?? null,
      tracesWhenKilled: crash?.marks.size ?? null,
      silenceMs,
      foundDone,
      ...traces,
      ok: exact,
    });
    return;
  }
  const { green, red } = output.dataColours;
  const also = traces.foreign === 0 ? '' : `, ${traces.foreign} files that belong to no item`;
  output.data(`${items} items: ${traces.exact} have left exactly one trace, ${traces.missing} none, ${traces.doubled} several${also}.`);
  if (crash !== null) output.data(`${crash.marks.size} traces stood when the worker was killed; one made anew since then counts as several.`);
  output.data(`${foundDone} effects were asked for again, and found done (the tool answered created: false).`);
  if (silenceMs !== null) output.data(`The longest silence after the kill: ${describeDuration(silenceMs)}.`);
  if (crash === null) output.data(red('The run was over before the worker could be killed: try more items (--items 1000).'));
  else
    output.data(
      exact
        ? green('Nothing was lost, and nothing that stood at the kill was done twice.')
        : red('The effects are not exact. This must not happen: please report it.'),
    );
}
