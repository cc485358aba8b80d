import { describe, expect, it } from 'vitest';
import { compilePlanText } from './compile.ts';
import { fixtureEnvironment } from './fixture-environment.ts';

const compile = (steps: string) => compilePlanText(`plan: a\nsteps:\n${steps}\n`, fixtureEnvironment);
const messages = (steps: string): string => {
  const result = compile(steps);
  return result.ok ? '' : result.faults.map(({ pointer, message }) => `${pointer} ${message}`).join('\n');
};
const wait = (parts: string): string => `  one: { wait: { ${parts} } }`;
const rest = 'everyMs: 500, expiresInMs: 60000';

describe('a wait until a condition', () => {
  it('needs what its input and its condition mention, and names the tool it was checked against', () => {
    const result = compile(
      `  path: { transform: /var }\n  most: { transform: 3 }\n${wait(`check: { tool: log.cluster, with: { path: "\${steps.path.output}" } }, until: "\${check.output.lines > steps.most.output}", ${rest}`)}`,
    );
    if (!result.ok) throw new Error(JSON.stringify(result.faults));
    const [, , one] = result.compiled.steps;
    expect(result.compiled.shape.steps[2]).toMatchObject({ kind: 'wait', needs: [0, 1] });
    expect(one).toMatchObject({
      reads: { input: ['path'], check: ['most'] },
      check: { tool: 'log.cluster', everyMs: 500, expiresInMs: 60_000, onExpiry: 'fail' },
    });
    expect(result.compiled.tools.map(({ name }) => name)).toEqual(['log.cluster']);
    expect(result.compiled.steps[0]?.check).toBe(null);
  });

  it('knows what it puts out', () => {
    const source = (reads: string): string =>
      `${wait(`check: { tool: log.cluster, with: { path: a } }, until: "\${check.output.lines > 3}", ${rest}`)}\n  two: { transform: "\${steps.one.output.${reads}}" }`;
    expect(messages(source('output.lines + steps.one.output.checks'))).toBe('');
    expect(messages(source('line'))).toMatch(/has no field "line"/);
    expect(messages(source('output.linez'))).toMatch(/has no field "linez"/);
  });

  it.each([
    [
      `check: { tool: http.post, with: { url: a } }, until: "\${true}", ${rest}`,
      /wait\/check\/tool the tool "http.post" is effectful, and a check is made again and again/,
    ],
    [`check: { tool: log.clusters }, until: "\${true}", ${rest}`, /there is no tool "log.clusters"/],
    [`check: { tool: log.cluster, with: { paths: a } }, until: "\${true}", ${rest}`, /wait\/check\/with.*log.cluster: /],
    [`check: { tool: log.cluster, with: { path: a } }, until: "\${check.output.lines}", ${rest}`, /until must be a boolean/],
    [`check: { tool: log.cluster, with: { path: a } }, until: "\${check.output.linez > 2}", ${rest}`, /has no field "linez"/],
    [`check: { tool: log.cluster, with: { path: "\${check.output}" } }, until: "\${true}", ${rest}`, /check is only known in until of a wait/],
    ['check: { tool: log.cluster, with: { path: a } }, until: "${true}"', /"everyMs" is missing/],
    ['check: { tool: log.cluster, with: { path: a } }, until: "${true}", everyMs: 5', /everyMs/],
    [`check: { tool: log.cluster, with: { path: a }, timeout: 5 }, until: "\${true}", ${rest}`, /unknown key "timeout"/],
    [`check: { tool: log.cluster, with: { path: a } }, until: 2031-01-31T09:00:00Z, ${rest}`, /until must be an expression/],
    ['until: tomorrow', /"tomorrow" is no instant/],
  ])('%s is refused', (parts, wanted) => {
    expect(messages(wait(parts))).toMatch(wanted);
  });
});
