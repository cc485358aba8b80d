import { describe, expect, it } from 'vitest';
import { readPage } from './page.ts';

const fenced = (...blocks: string[]): string => blocks.map((block) => `text\n\n\`\`\`yaml\n${block}\n\`\`\`\n`).join('\n');

describe('a page with plans', () => {
  it('says how they are run; a plan without a word runs without input', () => {
    const page = readPage('a.md', fenced('plan: one\nsteps: {}', 'run: one\ninput: { n: 1 }\noutput: 2', 'plan: two\nsteps: {}', 'other: block'));
    expect([...page.plans.keys()]).toEqual(['one', 'two']);
    expect(page.runs).toMatchObject([
      { run: 'one', input: { n: 1 }, output: 2, status: 'succeeded' },
      { run: 'two', input: {}, decide: {}, signals: [] },
    ]);
  });

  it('that runs a plan it does not have, or in unknown words, is refused', () => {
    expect(() => readPage('a.md', fenced('run: one'))).toThrow('a.md has a run of the plan "one", and no such plan.');
    expect(() => readPage('a.md', fenced('plan: one\nsteps: {}', 'run: one\noutcome: 2'))).toThrow('outcome');
  });
});
