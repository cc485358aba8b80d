import { parseArgs } from 'node:util';
import { cpu } from './figures/cpu.ts';
import { fanOut } from './figures/fan-out.ts';
import type { BenchContext, Figure, FigureResult, InstallationFigure } from './figures/figure.ts';
import { steps } from './figures/steps.ts';
import { makeDriver } from './rig/driver.ts';
import { startStack } from './rig/stack.ts';
import { printTable } from './report.ts';

const figures: (Figure | InstallationFigure)[] = [steps, fanOut, cpu];
const names = figures.map((figure) => figure.name).join(', ');
const usage = `npm run bench -- [--only NAME,…] [--quick] [--json FILE] [--worker-flags "…"]\n  names: ${names}\n`;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    'worker-flags': { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
});
const say = (line: string): void => console.error(line);
const wanted = values.only?.split(',') ?? figures.map((figure) => figure.name);
const unknown = wanted.filter((name) => !figures.some((figure) => figure.name === name));
if (values.help || unknown.length > 0) {
  process.stdout.write(unknown.length > 0 ? `There is no figure "${unknown.join('", "')}".\n${usage}` : usage);
  process.exit(unknown.length > 0 ? 2 : 0);
}

const results: { figure: Figure | InstallationFigure; result: FigureResult }[] = [];
const chosen = figures.filter((figure) => wanted.includes(figure.name));
const onStack = chosen.filter((figure): figure is Figure => 'measure' in figure);
if (onStack.length > 0) {
  const stack = await startStack({ workerFlags: values['worker-flags'].split(' ').filter((flag) => flag !== ''), say });
  const driver = makeDriver(stack);
  try {
    const context: BenchContext = { stack, driver, quick: values.quick, say };
    for (const figure of onStack) {
      say(`Measuring ${figure.name} …`);
      results.push({ figure, result: await figure.measure(context) });
    }
  } finally {
    await driver.close();
    await stack.stop();
  }
}
for (const { result } of results) printTable(result.lines);
process.exit(0);
