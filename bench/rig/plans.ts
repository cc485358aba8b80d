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

/** No-op tool steps at once, and their join. */
export const fanOutPlan = (count: number): string => `plan: fan-out-${count}
fuse: none
input: { type: object, required: [payload], properties: { payload: { type: string } } }
steps:
  fan: { forEach: "\${range(${count})}", concurrency: ${count}, tool: json.echo, with: { payload: "\${input.payload}" } }
output: "\${size(steps.fan.output)}"
`;

/** The example whose every item leaves one trace on disk. */
export const tracePlan = (): Promise<string> => readFile(join(projectRoot, 'examples', 'fan-out.plan.yaml'), 'utf8');

/** What every activity is given and gives back, ours and the floor's: 1 kB. */
export const payload = 'x'.repeat(1_024);
