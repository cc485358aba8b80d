import { parentPort } from 'node:worker_threads';
import { KosError } from '#core/errors.ts';
import { evaluateTemplate, parseTemplate } from '#core/expression/template.ts';
import { validateJson } from '#core/plan/json-schema.ts';
import { validateInput } from '#core/plan/validate-input.ts';
import { renderPrompt } from '#core/prompt/render.ts';
import type { Answer, Job } from './jobs.ts';

/** A worker thread of the evaluator. It has nothing but what the job brings: no database, no environment. */
function work(job: Job): unknown {
  switch (job.kind) {
    case 'evaluate':
      return evaluateTemplate(parseTemplate(job.source), job.scope);
    case 'render':
      return renderPrompt(job.prompt, job.variables);
    case 'validate':
      return validateInput(job.schema, job.input);
    case 'check':
      return validateJson(job.schema, job.value);
  }
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

function answer(job: Job): Answer {
  try {
    return { kind: 'done', value: work(job), cpuMs: cpuMs() };
  } catch (error) {
    // Anything else is a fault of this thread: it ends with it, and the pool starts another.
    if (!(error instanceof KosError)) throw error;
    const { code, message, fix, status } = error;
    return { kind: 'refused', code, message, fix, status, cpuMs: cpuMs() };
  }
}

const port = parentPort;
if (port === null) throw new Error('thread.ts runs as a worker thread only');
port.on('message', (job: Job) => port.postMessage(answer(job)));
port.postMessage({ kind: 'ready', cpuMs: cpuMs() } satisfies Answer);
