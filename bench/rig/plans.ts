import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from '#config';

const stepNames = (count: number): string[] => Array.from({ length: count }, (_, index) => `s${index}`);

/** No-op tool steps in a row, one activity each, 1 kB in and out. */
export function linearPlan(count: number): string {
  const steps = stepNames(count).map((name, index) => {
    const source = index === 0 ? 'input.payload' : `steps.s${index - 1}.output.payload`;
    return `  ${name}: { tool: json.echo, with: { payload: "\${${source}}" } }`;
  });
  return `plan: linear-${count}\nfuse: none\ninput: { type: object, required: [payload], properties: { payload: { type: string } } }\nsteps:\n${steps.join('\n')}\noutput: "\${steps.s${count - 1}.output.payload}"\n`;
}

/** Pure steps in a row: one fused chain, 1 kB in and out of each. */
export function purePlan(count: number): string {
  const steps = stepNames(count).map((name, index) => `  ${name}: { transform: "\${${index === 0 ? 'input.payload' : `steps.s${index - 1}.output`}}" }`);
  return `plan: pure-${count}\ninput: { type: object, required: [payload], properties: { payload: { type: string } } }\nsteps:\n${steps.join('\n')}\noutput: "\${steps.s${count - 1}.output}"\n`;
}

/** Calls of an idempotent tool in a row, each in the plan's order: intent, call and outcome of each on the record. */
export function effectsPlan(count: number): string {
  const steps = stepNames(count).map((name, index) => `  ${name}: { tool: fs.list, with: { path: "." }${index === 0 ? '' : `, needs: [s${index - 1}]`} }`);
  return `plan: effects-${count}\nfuse: effects\ninput: { type: object, required: [payload], properties: { payload: { type: string } } }\nsteps:\n${steps.join('\n')}\n`;
}

/** The same for rounds of one step: its place in the run is the same all along. */
export const repeatPlan = (rounds: number): string => `plan: repeat-${rounds}
input: { type: object, required: [payload], properties: { payload: { type: string } } }
steps:
  poll: { tool: fs.list, with: { path: "." }, repeat: { until: "\${iteration == ${rounds - 1}}", maxIterations: 10000 } }
`;

/** As many steps as a plan may have, of what most plans are made of: texts with expressions, tools, needs by mention. */
export function largePlan(count: number): string {
  const steps = stepNames(count).map((name, index) => {
    const [one, two] = [Math.max(0, index - 1), Math.max(0, index - 7)];
    if (index < 8) return `  ${name}: { transform: { text: "\${input.payload}", number: ${index} } }`;
    return index % 2 === 0
      ? `  ${name}: { transform: { text: "\${steps.s${two}.output.text}", number: "\${steps.s${one === two ? one : two}.output.number + 1}" } }`
      : `  ${name}: { transform: { text: "step \${steps.s${one}.output.text}", number: "\${steps.s${one}.output.number}" }, when: "\${steps.s${one}.output.number >= 0}" }`;
  });
  return `plan: large-${count}\ninput: { type: object, required: [payload], properties: { payload: { type: string } } }\nsteps:\n${steps.join('\n')}\noutput: "\${steps.s${count - 2}.output.text}"\n`;
}

/** Parked until somebody decides. */
export const parkedPlan = `plan: parked
input: { type: object, required: [payload], properties: { payload: { type: string } } }
steps:
  signOff: { approval: { for: [after] } }
  after: { transform: "\${input.payload}" }
`;

/** No-op tool steps at once, and their join. `none`: each has an activity that Temporal shows. */
export const fanOutPlan = (count: number, fuse: 'pure' | 'none'): string => `plan: fan-out-${fuse}-${count}
fuse: ${fuse}
input: { type: object, required: [payload], properties: { payload: { type: string } } }
steps:
  fan: { forEach: "\${range(${count})}", concurrency: ${count}, tool: json.echo, with: { payload: "\${input.payload}" } }
output: "\${size(steps.fan.output)}"
`;

/** The example whose every item leaves one trace on disk. */
export const tracePlan = (): Promise<string> => readFile(join(projectRoot, 'examples', 'fan-out.plan.yaml'), 'utf8');

/** What every activity is given and gives back, ours and the floor's: 1 kB. */
export const payload = 'x'.repeat(1_024);
