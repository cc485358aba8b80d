/** `npm run bench`: the product's speed and memory beside what bounds them. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { bare } from './figures/bare.ts';
import { compile } from './figures/compile.ts';
import { cpu } from './figures/cpu.ts';
import { event } from './figures/event.ts';
import { fanOut } from './figures/fan-out.ts';
import type { ApiFigure, Figure, FigureResult, InstallationFigure, Measured } from './figures/figure.ts';
import { firstStep } from './figures/first-step.ts';
import { forEach } from './figures/for-each.ts';
import { fused } from './figures/fused.ts';
import { history } from './figures/history.ts';
import { memory } from './figures/memory.ts';
import { parked } from './figures/parked.ts';
import { reads } from './figures/reads.ts';
import { repeat } from './figures/repeat.ts';
import { secondStart } from './figures/second-start.ts';
import { silence } from './figures/silence.ts';
import { startRun } from './figures/start-run.ts';
import { steps } from './figures/steps.ts';
import { streams } from './figures/streams.ts';
import { trigger } from './figures/trigger.ts';
import { describeMachine, formatTable, keepRecord } from './report.ts';
import { startApi } from './rig/api.ts';
import { makeDriver } from './rig/driver.ts';
import { startStack } from './rig/stack.ts';

const onStack: Figure[] = [steps, fanOut, fused, cpu, firstStep, silence, forEach, repeat, compile, parked];
const onInstallation: InstallationFigure[] = [secondStart, memory, streams];
const onApi: ApiFigure[] = [reads, bare, history, event, startRun, trigger];
const names = [...onStack, ...onInstallation, ...onApi].map((figure) => figure.name);
const usage = `npm run bench -- [options]
  --only NAMES          of ${names.join(', ')}
  --quick               fewer repetitions: for trying, not for the record
  --json FILE           everything that was measured, as JSON
  --worker-flags FLAGS  for the worker's Node, e.g. --worker-flags="--cpu-prof"
What is measured in full (all of it takes about 35 minutes) goes on record, each figure as soon as it is known: bench/results.json, bench/RESULTS.md.
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    'worker-flags': { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
});
const { quick } = values;
const wanted = values.only?.split(',') ?? names;
const unknown = wanted.filter((name) => !names.includes(name));
if (values.help || unknown.length > 0) {
  process.stdout.write(unknown.length > 0 ? `There is no figure "${unknown.join('", "')}".\n${usage}` : usage);
  process.exit(unknown.length > 0 ? 2 : 0);
}

// What is going on is for people; stdout has the table.
const say = (line: string): void => console.error(line);
const machine = await describeMachine();
const measured: Measured[] = [];
/** Figures that could not be measured; the others are. */
const failed: string[] = [];
await measureOnStack(onStack.filter((figure) => wanted.includes(figure.name)));
for (const figure of onInstallation.filter(({ name }) => wanted.includes(name))) await take(figure, () => figure.measureInstallation({ quick, say }));
await measureOnApi(onApi.filter((figure) => wanted.includes(figure.name)));

console.log(formatTable(measured));
for (const what of failed) console.log(what);
const record = { ...machine, quick, figures: measured.map(({ figure, lines, details }) => ({ name: figure.name, bound: figure.bound, lines, details })) };
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(record, null, 2)}\n`);
process.exit(failed.length === 0 && measured.every(({ lines }) => lines.every((line) => line.met !== false)) ? 0 : 1);

async function take(figure: Pick<Figure, 'name' | 'bound'>, measure: () => Promise<FigureResult>): Promise<void> {
  const since = performance.now();
  say(`Measuring ${figure.name} …`);
  try {
    const result: Measured = { figure: { name: figure.name, bound: figure.bound }, ...(await measure()) };
    measured.push(result);
    if (!quick) await keepRecord(names, result, machine);
  } catch (error) {
    failed.push(`NO  ${figure.name} was not measured: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
  say(`… ${figure.name} took ${Math.round((performance.now() - since) / 1_000)} s`);
}

async function measureOnStack(figures: Figure[]): Promise<void> {
  if (figures.length === 0) return;
  const workerFlags = values['worker-flags'].split(' ').filter((flag) => flag !== '');
  const stack = await startStack({ workerFlags, say });
  const driver = makeDriver(stack);
  stopAtSignal(stack);
  try {
    for (const figure of figures) await take(figure, () => figure.measure({ stack, driver, quick, say }));
  } finally {
    await driver.close();
    await stack.stop();
  }
}

async function measureOnApi(figures: ApiFigure[]): Promise<void> {
  if (figures.length === 0) return;
  const api = await startApi();
  stopAtSignal(api);
  try {
    for (const figure of figures) await take(figure, () => figure.measureApi({ api, quick, say }));
  } finally {
    await api.stop();
  }
}

/** Ctrl-C leaves no servers behind. */
function stopAtSignal(servers: { stop(): Promise<void> }): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void servers.stop().finally(() => process.exit(130)));
}
