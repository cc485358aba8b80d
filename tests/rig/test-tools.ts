import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { defineTool } from '#services/tools/define.ts';
import { type Tool, ToolFailure } from '#services/tools/tool.ts';

/** Bytes that a test's tool may put out: more than a step may, so that the step's own bound is what is met. */
const outputBytes = 20_000_000;
const limits = { timeoutMs: 600_000, outputBytes };
const answer = z.object({ at: z.number() });

const effect = { file: z.string(), waitMs: z.number().default(0) };

async function leaveTrace({ file, waitMs }: { file: string; waitMs: number }, trace: string, signal: AbortSignal): Promise<{ at: number }> {
  await appendFile(file, `${trace}\n`);
  await sleep(waitMs, undefined, { signal });
  return { at: Date.now() };
}

/** Tools that misbehave in one way each. Files and times come from the plan, so that they work in another process, too. */
export const testTools: Tool[] = [
  defineTool({
    name: 'test.append',
    version: 1,
    description: 'Effectful: writes one line to a file, then takes its time.',
    effect: 'effectful',
    input: z.object(effect),
    output: answer,
    limits,
    execute: (input, { effectKey, signal }) => leaveTrace(input, effectKey, signal),
  }),
  defineTool({
    name: 'test.repeat',
    version: 1,
    description: 'Idempotent: writes one line with its effect key and attempt to a file, then takes its time.',
    effect: 'idempotent',
    quick: true,
    input: z.object(effect),
    output: answer,
    limits,
    execute: (input, { effectKey, attempt, signal }) => leaveTrace(input, `${effectKey} ${attempt}`, signal),
  }),
  defineTool({
    name: 'test.ask',
    version: 1,
    description: 'Effectful, and able to say whether its effect happened: the file has its key then.',
    effect: 'effectful',
    input: z.object(effect),
    output: answer,
    limits,
    execute: (input, { effectKey, signal }) => leaveTrace(input, effectKey, signal),
    reconcile: async ({ file }, { effectKey }) => ((await readFile(file, 'utf8')).includes(effectKey) ? { at: 0 } : null),
  }),
  defineTool({
    name: 'test.unanswered',
    version: 1,
    description: 'Idempotent: counts its call, makes its effect unless it is there already, and answers only when it was.',
    effect: 'idempotent',
    quick: true,
    input: z.object({ folder: z.string() }),
    output: z.object({ applied: z.number() }),
    limits,
    execute: async ({ folder }, { effectKey, attempt, signal }) => {
      const name = join(folder, effectKey.replaceAll('/', '.'));
      await appendFile(`${name}.calls`, `${effectKey} ${attempt}\n`);
      const first = await writeFile(`${name}.effect`, effectKey, { flag: 'wx' }).then(
        () => true,
        () => false,
      );
      if (first) await sleep(600_000, undefined, { signal });
      return { applied: 1 };
    },
  }),
  defineTool({
    name: 'test.hang',
    version: 1,
    description: 'Never answers and listens to nothing.',
    effect: 'idempotent',
    input: z.object({ file: z.string() }),
    output: answer,
    limits,
    execute: async ({ file }, { attempt }) => {
      await appendFile(file, `${attempt}\n`);
      return await new Promise<never>(() => undefined);
    },
  }),
  defineTool({
    name: 'test.late',
    version: 1,
    description: 'Listens to nothing and answers when it likes; says when it has.',
    effect: 'idempotent',
    input: z.object({ file: z.string(), waitMs: z.number() }),
    output: z.object({ attempt: z.number() }),
    limits,
    execute: async ({ file, waitMs }, { attempt }) => {
      await sleep(attempt === 1 ? waitMs : 0);
      await appendFile(file, `${attempt}\n`);
      return { attempt };
    },
  }),
  defineTool({
    name: 'test.fail',
    version: 1,
    description: 'Fails for as many attempts as it is told.',
    effect: 'idempotent',
    input: z.object({ times: z.number(), retryAfterMs: z.number().optional(), message: z.string().default('It failed as it was told.') }),
    output: z.object({ attempt: z.number() }),
    limits,
    execute: async ({ times, retryAfterMs, message }, { attempt }) => {
      if (attempt > times) return { attempt };
      const asked = retryAfterMs === undefined ? {} : { retryAfterMs };
      throw new ToolFailure({ code: 'told_to_fail', message, retryable: true, effect: 'none', ...asked });
    },
  }),
  defineTool({
    name: 'test.note',
    version: 1,
    description: 'Idempotent: fails for as many attempts as it is told, then writes one line with its effect key and a text to a file.',
    effect: 'idempotent',
    input: z.object({ file: z.string(), text: z.string(), waitMs: z.number().default(0), failures: z.number().default(0) }),
    output: z.object({ id: z.string() }),
    limits,
    execute: async ({ file, text, waitMs, failures }, { effectKey, attempt, signal }) => {
      if (attempt <= failures) throw new ToolFailure({ code: 'told_to_fail', message: 'It failed as it was told.', retryable: true, effect: 'none' });
      await leaveTrace({ file, waitMs }, `${effectKey} ${text}`, signal);
      return { id: `${text}!` };
    },
  }),
  defineTool({
    name: 'test.big',
    version: 1,
    description: 'A text of so many bytes.',
    effect: 'idempotent',
    input: z.object({ bytes: z.number() }),
    output: z.string(),
    limits,
    execute: async ({ bytes }) => 'x'.repeat(bytes),
  }),
  defineTool({
    name: 'test.rest',
    version: 1,
    description: 'Takes its time and listens to its signal.',
    effect: 'idempotent',
    input: z.object({ waitMs: z.number() }),
    output: answer,
    limits,
    execute: async ({ waitMs }, { signal }) => {
      await sleep(waitMs, undefined, { signal });
      return { at: Date.now() };
    },
  }),
  defineTool({
    name: 'test.think',
    version: 1,
    description: 'Says what it was given after a while, and changes nothing.',
    effect: 'pure',
    quick: true,
    input: z.object({ waitMs: z.number(), value: z.number(), notBefore: z.number().default(0) }),
    output: z.number(),
    limits,
    execute: async ({ waitMs, value, notBefore }, { signal }) => {
      if (Date.now() < notBefore) throw new ToolFailure({ code: 'too_early', message: 'It is too early.', retryable: true, effect: 'none' });
      await sleep(waitMs, undefined, { signal });
      return value;
    },
  }),
];
