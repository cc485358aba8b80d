import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#schemas/json.ts';
import { createScheduleSchema } from '#schemas/schedule.ts';
import { createTriggerSchema } from '#schemas/trigger.ts';
import { startRunSchema } from '#schemas/run.ts';
import { evaluateTemplate, parseTemplate } from '#core/expression/template.ts';
import { type Offer, type OfferedRun, offersOf } from './offers.ts';
import { snippetsOf } from './snippets.ts';

const run = (change: Partial<OfferedRun> = {}): OfferedRun => ({
  id: 'run_01930000-0000-7000-8000-00000000aaaa',
  plan: { name: 'triage', version: 3, digest: 'd'.repeat(64) },
  input: { path: '/var/log' },
  labels: {},
  cache: true,
  ...change,
});

const offer = (action: Offer['action'], change: Partial<OfferedRun> = {}): Offer => {
  const found = offersOf(run(change)).offers.find((candidate) => candidate.action === action);
  if (found === undefined) throw new Error(`no offer ${action}`);
  return found;
};
const snippets = (made: Offer) => snippetsOf(made, { publicUrl: 'http://127.0.0.1:3000', functionName: 'postRuns' });

describe('what can be made of a run', () => {
  it('is requests that their routes take', () => {
    const change = { labels: { team: 'platform', 'Of-The-Plan': 'yes' }, cache: false };
    expect(startRunSchema.parse(offer('start', change).body)).toEqual({
      plan: 'triage@3',
      input: { path: '/var/log' },
      labels: { team: 'platform' },
      cache: false,
    });
    expect(createScheduleSchema.parse(offer('schedule', change).body)).toMatchObject({ name: 'triage-00aaaa', plan: 'triage', labels: { team: 'platform' } });
    expect(createTriggerSchema.parse(offer('trigger', change).body)).toMatchObject({ name: 'triage-00aaaa', scheme: 'bearer' });
    expect(offer('again').path).toBe('/v1/runs/run_01930000-0000-7000-8000-00000000aaaa/replay');
  });

  it('keeps a name within its bounds', () => {
    const name = 'p'.repeat(64);
    expect(createScheduleSchema.safeParse(offer('schedule', { plan: { name, version: 1, digest: '' } }).body).success).toBe(true);
  });

  it('lets no text of the input become an expression of the trigger', () => {
    const input: JsonObject = { text: '${body.secret} and $${x}', list: ['${1 + 1}'], deep: { text: '$' } };
    const template = parseTemplate(offer('trigger', { input }).body['input'] ?? null);
    expect(evaluateTemplate(template, { input: {}, steps: {}, run: { id: 'run_1', startedAt: '' } })).toEqual(input);
  });

  it('is the same run again alone, where the input is too large to be written out', () => {
    const { offers, note } = offersOf(run({ input: { text: 'x'.repeat(10_000) } }));
    expect(offers.map(({ action }) => action)).toEqual(['again']);
    expect(note).toContain('10,011 characters');
  });
});

describe('what is copied', () => {
  it('reads as people write it', () => {
    expect(snippets(offer('again')).kai).toBe('kai run replay run_01930000-0000-7000-8000-00000000aaaa');
    expect(snippets(offer('start', { input: {} })).kai).toBe('kai run start triage@3');
    expect(snippets(offer('start')).kai).toBe(`kai run start triage@3 --input-file - <<'JSON'\n{"path":"/var/log"}\nJSON`);
    expect(snippets(offer('schedule')).kai).toContain("kai schedule create triage-00aaaa --plan triage --cron '0 9 * * *' --input-file -");
    const { curl, typescript } = snippets(offer('start'));
    expect(curl).toContain('curl -X POST http://127.0.0.1:3000/v1/runs');
    expect(typescript).toContain('await postRuns({\n  client,\n  body: {"plan":"triage@3"');
    expect(snippets(offer('again')).typescript).toContain("path: { id: 'run_01930000-0000-7000-8000-00000000aaaa' }");
  });

  it('holds no key and nothing that a terminal would obey', () => {
    const { kai, curl, typescript } = snippets(offer('start', { input: { text: 'a\u001b[2J\u202e\u2028é' }, labels: { note: '\u001b[2J\u202e' } }));
    for (const text of [kai, curl, typescript]) {
      expect(text).toMatch(/^[\x20-\x7e\n]*$/);
      expect(text).not.toMatch(/kos_/);
    }
  });

  it('is to a shell exactly what the run had, whatever it had', () => {
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom("it's", '$(touch x)', '`x`', "'; echo x; '", '\nJSON\n', '"', String.raw`\x41\'`, '\u001b[2J\u202e'),
    );
    const samples = fc.sample(fc.tuple(fc.dictionary(fc.string({ minLength: 1 }), value, { maxKeys: 4 }), value), 40);
    const offers = samples.map(([input, label]) =>
      offer('start', { input, labels: { note: label.toWellFormed().replaceAll('\0', '').slice(0, 200).toWellFormed() } }),
    );
    // The words as the shell makes them, then what the command reads.
    const show = `show() { printf '%s\\0' "$@"; printf 'reads:\\0'; cat; printf '\\0end:\\0'; }; kai() { show "$@"; }; curl() { show "$@"; };`;
    const script = offers.map((made) => `${snippets(made).kai}\n${snippets(made).curl}`).join('\n');
    const heard = execFileSync('bash', ['--norc', '--noprofile', '-c', `${show}\n${script}`], {
      env: { PATH: process.env['PATH'] },
      input: '',
      encoding: 'utf8',
    })
      .split('end:\0')
      .map((part) => part.split('\0'));
    expect(heard).toHaveLength(offers.length * 2 + 1);
    for (const [index, made] of offers.entries()) {
      const [kai = [], curl = []] = heard.slice(index * 2);
      expect(kai.slice(0, made.kai.words.length)).toEqual(made.kai.words);
      const read = kai[kai.indexOf('reads:') + 1] ?? '';
      expect(read === '' ? {} : JSON.parse(read)).toEqual(made.kai.input);
      expect(JSON.parse(curl[curl.indexOf('--data') + 1] ?? '')).toEqual(made.body);
    }
    const keys = heard.flat().filter((word) => word.startsWith('Idempotency-Key: '));
    expect(keys).toEqual(keys.map(() => expect.stringMatching(/^Idempotency-Key: [0-9a-f]{32}$/)));
    expect(new Set(keys).size).toBe(offers.length);
  });
});
