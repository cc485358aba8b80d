import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Scope } from '#core/expression/scope.ts';
import { parseTemplate } from '#core/expression/template.ts';
import type { Json } from '#schemas/json.ts';
import { createEvaluator, type Evaluator } from './evaluator.ts';

const scopeWith = (input: Json): Scope => ({ input, steps: {}, run: { id: 'run_1', startedAt: '2030-01-01T00:00:00Z' } });
const numbers = Array.from({ length: 30_000 }, (_, index) => index);

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // no such process
  }
}

/** Longest time the event loop stood still while `work` went on, in milliseconds. */
async function longestPause(work: Promise<unknown>): Promise<number> {
  let last = performance.now();
  let longest = 0;
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 5);
  await work.catch(() => undefined);
  clearInterval(timer);
  return longest;
}

describe('evaluator', () => {
  let evaluator: Evaluator;
  beforeAll(() => {
    evaluator = createEvaluator({ processes: 2 });
  });
  afterAll(() => evaluator.close());

  const evaluate = (source: Json, input: Json = {}): Promise<Json> => evaluator.evaluate(parseTemplate(source), scopeWith(input));

  it('gives the same answer at once and in another process', async () => {
    expect(await evaluate('${input.numbers.map(n, n * 2)}', { numbers: [1, 2, 3] })).toEqual([2, 4, 6]);
    expect(await evaluate('${sum(input.numbers.map(n, n * 2))}', { numbers })).toBe(899_970_000);
  });

  it('sends another process the whole of a structured template', async () => {
    const value = await evaluate({ total: '${sum(input.numbers)}', name: '${input.name}-${run.id}', fixed: [1] }, { numbers, name: 'x' });
    expect(value).toEqual({ total: 449_985_000, name: 'x-run_1', fixed: [1] });
  });

  it('ends an expression that runs long, while the event loop goes on', async () => {
    const endless = evaluate('${range(9000).map(a, range(9000).map(b, a * b)).size()}');
    const pause = await longestPause(endless);
    await expect(endless).rejects.toMatchObject({ code: 'expression_budget' });
    expect(pause).toBeLessThan(2_000);
  });

  it('ends a regular expression that backtracks without end', async () => {
    await expect(evaluate('${input.text.matches("^(a+)+$")}', { text: `${'a'.repeat(60)}!` })).rejects.toMatchObject({ code: 'expression_budget' });
  });

  it('ends an expression that takes too much memory, and works on', async () => {
    const doubling = Array.from({ length: 30 }, (_, index) => `cel.bind(v${index + 1}, v${index} + v${index}, `).join('');
    await expect(evaluate(`\${cel.bind(v0, range(1000), ${doubling} size(v30)${')'.repeat(31)}}`)).rejects.toMatchObject({ code: 'expression_budget' });
    expect(await evaluate('${sum(input.numbers)}', { numbers })).toBe(449_985_000);
  });

  it('names what the expression did wrong, from another process as well', async () => {
    await expect(evaluate('${input.numbers.map(n, n.missing)}', { numbers })).rejects.toMatchObject({ code: 'expression_failed', status: 422 });
  });

  it('outlives what asks for very much memory at once', async () => {
    const doubling = '{% set ns = namespace(x=range(90000)) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x|length }}';
    await expect(evaluator.renderPrompt(doubling, {})).rejects.toMatchObject({ code: 'expression_budget', status: 422, retryable: false });
    expect(await evaluate('${sum(input.numbers)}', { numbers })).toBe(449_985_000);
  });

  it('copies no large text in its own process', async () => {
    const quotes = '"'.repeat(500_000);
    const copying = [`{{ (${Array<string>(700).fill('x').join(' ~ ')}) | upper }}`, '{{ x | tojson }}'.repeat(400), `{{ x${' | tojson'.repeat(20)} }}`];
    for (const prompt of copying) {
      const rendered = evaluator.renderPrompt(prompt, { x: quotes });
      const pause = await longestPause(rendered);
      await expect(rendered).rejects.toMatchObject({ status: 422 });
      expect(pause).toBeLessThan(2_000);
    }
    expect(await evaluator.renderPrompt('{{ x | upper | trim }}!', { x: 'a ' })).toBe('A!');
  });

  it('ends with whoever started it, in the middle of a job', async () => {
    const host = fileURLToPath(new URL('./host.ts', import.meta.url));
    const prompt = '{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}';
    const script = `import { fork } from 'node:child_process';
      const host = fork(${JSON.stringify(host)}, [JSON.stringify({ budgetMs: 60000, memoryMb: 64 })], { serialization: 'advanced', execArgv: [] });
      host.send({ job: { kind: 'render', prompt: ${JSON.stringify(prompt)}, variables: {} }, what: 'A prompt' }, () => console.log(host.pid));`;
    const starter = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [shown] = (await once(starter.stdout, 'data')) as [Buffer];
    const started = Number(String(shown));
    await sleep(500);
    expect(isRunning(started)).toBe(true);
    starter.kill('SIGKILL');
    await expect.poll(() => isRunning(started), { timeout: 3_000 }).toBe(false);
  });

  it('renders prompts with loops under the same budget', async () => {
    expect(await evaluator.renderPrompt('{% for word in words %}{{ word }};{% endfor %}', { words: ['a', 'b'] })).toBe('a;b;');
    const endless = '{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}';
    await expect(evaluator.renderPrompt(endless, {})).rejects.toMatchObject({ code: 'expression_budget' });
  });

  it('holds input against patterns under the same budget', async () => {
    const schema = { type: 'object', properties: { name: { type: 'string', pattern: '^(a+)+$' } } };
    expect(await evaluator.validateInput(schema, { name: 'aaa' })).toEqual({ ok: true, input: { name: 'aaa' } });
    expect(await evaluator.validateJson({ type: 'array', items: { type: 'integer' } }, [1, 'x'])).toMatchObject([{ pointer: '/1' }]);
    expect(await evaluator.validateJson({ type: 'string', pattern: '^a+$' }, 'aab')).toMatchObject([{ pointer: '' }]);
    await expect(evaluator.validateInput(schema, { name: `${'a'.repeat(60)}!` })).rejects.toMatchObject({ code: 'expression_budget' });
  });

  it('holds input against schemas that multiply under the same budget', async () => {
    const level = (index: number): Json => (index === 40 ? {} : { allOf: [{ $ref: `#/$defs/d${index + 1}` }, { $ref: `#/$defs/d${index + 1}` }] });
    const $defs = Object.fromEntries(Array.from({ length: 41 }, (_, index) => [`d${index}`, level(index)]));
    const doubling: Json = { type: 'object', $ref: '#/$defs/d0', $defs };
    await expect(evaluator.validateInput(doubling, undefined)).rejects.toMatchObject({ code: 'expression_budget' });
    await expect(evaluator.validateJson(doubling, {})).rejects.toMatchObject({ code: 'expression_budget' });
    const wide: Json = { type: 'array', items: { allOf: Array.from({ length: 2_000 }, () => ({ type: 'integer' })) } };
    const pause = await longestPause(evaluator.validateJson(wide, numbers.slice(0, 15_000)));
    expect(pause).toBeLessThan(2_000);
  });

  it('serves many callers with few processes', async () => {
    const results = await Promise.all(Array.from({ length: 20 }, (_, index) => evaluate(`\${sum(input.numbers) + ${index}}`, { numbers })));
    expect(results).toEqual(Array.from({ length: 20 }, (_, index) => 449_985_000 + index));
  });

  it('refuses work after it is closed', async () => {
    const closed = createEvaluator({ processes: 1 });
    await closed.close();
    await expect(closed.evaluate(parseTemplate('${range(99999)}'), scopeWith({}))).rejects.toMatchObject({ code: 'evaluator_closed' });
    expect(await closed.evaluate(parseTemplate('${input.a}'), scopeWith({ a: 1 }))).toBe(1);
  });

  it('costs next to nothing for small expressions', async () => {
    const template = parseTemplate({ path: 'out/${run.id}/${input.index}.json', next: '${input.index + 1}' });
    const scope = scopeWith({ index: 7 });
    await evaluator.evaluate(template, scope);
    const rounds = 20_000;
    const started = performance.now();
    for (let round = 0; round < rounds; round += 1) await evaluator.evaluate(template, scope);
    // About 2 µs; the bound leaves room for a busy machine.
    expect((performance.now() - started) / rounds).toBeLessThan(2);
  });
});
