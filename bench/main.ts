/** `npm run bench`: the product's speed and memory beside what bounds them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '#config';
import { compile } from './figures/compile.ts';
import { cpu } from './figures/cpu.ts';
import { fanOut } from './figures/fan-out.ts';
import type { Figure, InstallationFigure, Measured } from './figures/figure.ts';
import { firstStep } from './figures/first-step.ts';
import { forEach } from './figures/for-each.ts';
import { fused } from './figures/fused.ts';
import { memory } from './figures/memory.ts';
import { parked } from './figures/parked.ts';
import { secondStart } from './figures/second-start.ts';
import { silence } from './figures/silence.ts';
import { steps } from './figures/steps.ts';
import { describeMachine, formatRecord, formatTable } from './report.ts';
import { makeDriver } from './rig/driver.ts';
import { startStack } from './rig/stack.ts';

const onStack: Figure[] = [steps, fanOut, fused, cpu, firstStep, silence, forEach, compile, parked];
const onInstallation: InstallationFigure[] = [secondStart, memory];
const names = [...onStack, ...onInstallation].map((figure) => figure.name);
const usage = `npm run bench -- [options]
  --only NAMES          of ${names.join(', ')}
  --quick               fewer repetitions: for trying, not for the record
  --json FILE           everything that was measured, as JSON
  --worker-flags FLAGS  for the worker's Node, e.g. --worker-flags="--cpu-prof"
Everything in full (about 12 minutes) also writes bench/RESULTS.md.
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
const measured: Measured[] = [];
await measureOnStack(onStack.filter((figure) => wanted.includes(figure.name)));
for (const figure of onInstallation.filter(({ name }) => wanted.includes(name))) {
  say(`Measuring ${figure.name} …`);
  measured.push({ figure, ...(await figure.measureInstallation({ quick, say })) });
}

const machine = await describeMachine();
console.log(formatTable(measured));
const record = { ...machine, quick, figures: measured.map(({ figure, lines, details }) => ({ name: figure.name, bound: figure.bound, lines, details })) };
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(record, null, 2)}\n`);
if (!quick && values.only === undefined) await writeFile(join(projectRoot, 'bench', 'RESULTS.md'), formatRecord(machine, measured));
process.exit(measured.every(({ lines }) => lines.every((line) => line.met !== false)) ? 0 : 1);

async function measureOnStack(figures: Figure[]): Promise<void> {
  if (figures.length === 0) return;
  const workerFlags = values['worker-flags'].split(' ').filter((flag) => flag !== '');
  const stack = await startStack({ workerFlags, say });
  const driver = makeDriver(stack);
  // Ctrl-C leaves no servers behind.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stack.stop().finally(() => process.exit(130)));
  try {
    for (const figure of figures) {
      say(`Measuring ${figure.name} …`);
      measured.push({ figure, ...(await figure.measure({ stack, driver, quick, say })) });
    }
  } finally {
    await driver.close();
    await stack.stop();
  }
}
