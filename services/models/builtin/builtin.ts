import { setImmediate } from 'node:timers/promises';
import type { Json } from '#schemas/json.ts';
import { ModelFailure, type ModelRequest, type ModelResult } from '../model.ts';
import { priceCurrency } from '../prices.ts';
import { type AnswerCheck, inWords, requireSchema } from '../structured.ts';
import { fillSchema, type FillSource } from './fill.ts';
import { describeCluster, describeLog } from './log-report.ts';
import { summarise } from './prose.ts';
import { subjectOf, type Subject } from './subject.ts';
import { keywordsOf, shorten } from './words.ts';

export type BuiltinName = 'summary' | 'keywords' | 'fill';

export interface BuiltinModel {
  label: string;
  call(request: ModelRequest, checkAnswer: AnswerCheck): Promise<ModelResult>;
}

/** Stands on every output, so that nobody takes rules for understanding. */
export const builtinLabel = 'builtin: rules, not a language model';

/** Without a limit by the request. A token is taken as four characters. */
const defaultCharacters = 2_000;
const charactersPerToken = 4;
const summarySentences = 4;
const kindsShown = 8;
const keywordCount = 8;

export const builtinModels: Record<BuiltinName, BuiltinModel> = {
  summary: { label: builtinLabel, call: (request, check) => answer({ model: 'summary', request, check, write: summaryOf }) },
  keywords: { label: builtinLabel, call: (request, check) => answer({ model: 'keywords', request, check, write: listKeywords }) },
  fill: { label: builtinLabel, call: (request, check) => answer({ model: 'fill', request, check, write: summaryOf }) },
};

interface Task {
  model: BuiltinName;
  request: ModelRequest;
  check: AnswerCheck;
  write: (subject: Subject, characters: number) => string;
}

const listKeywords = (subject: Subject): string => keywordsOf(textOf(subject), keywordCount).join(', ');

/** The same request always gets the same answer. Whichever rules were named, a schema is filled. */
async function answer(task: Task): Promise<ModelResult> {
  const { model, request, check, write } = task;
  request.signal.throwIfAborted();
  if (model === 'fill' && request.schema === undefined) throw needsSchema();
  await setImmediate();
  const subject = subjectOf(request.prompt);
  const characters = request.maxOutputTokens === undefined ? defaultCharacters : request.maxOutputTokens * charactersPerToken;
  const object =
    request.schema === undefined
      ? undefined
      : await fillValid(request.schema, check, { prompt: request.prompt, text: textOf(subject), summary: summaryOf(subject, characters) });
  const text = object === undefined ? write(subject, characters) : JSON.stringify(object);
  request.onDelta?.(text);
  return {
    text,
    ...(object === undefined ? {} : { object }),
    usage: { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0 },
    costMicros: 0,
    currency: priceCurrency,
    provider: 'builtin',
    model: object === undefined ? model : 'fill',
    labels: [builtinLabel],
  };
}

function summaryOf(subject: Subject, characters: number): string {
  switch (subject.kind) {
    case 'cluster':
      return describeCluster(subject.cluster);
    case 'log':
      return describeLog(subject.lines, kindsShown);
    case 'prose':
      return summarise(subject.text, { sentences: summarySentences, characters }) || shorten(subject.text, characters);
  }
}

function textOf(subject: Subject): string {
  switch (subject.kind) {
    case 'cluster':
      return [subject.cluster.level, subject.cluster.template, ...subject.cluster.examples].filter((part) => typeof part === 'string').join('\n');
    case 'log':
      return subject.lines.join('\n');
    case 'prose':
      return subject.text;
  }
}

async function fillValid(schema: Json, check: AnswerCheck, source: FillSource): Promise<Json> {
  requireSchema(schema);
  const object = fillSchema(schema, source);
  const faults = await check(schema, object);
  if (faults.length === 0) return object;
  throw new ModelFailure({
    code: 'model_output_invalid',
    message: `The rules of builtin/fill found no object that fits the schema: ${inWords(faults)}`,
    fix: 'Loosen the schema, or use a language model: set OPENAI_API_KEY or OPENAI_BASE_URL.',
    status: 422,
    billed: 'none',
  });
}

const needsSchema = (): ModelFailure =>
  new ModelFailure({
    code: 'model_request_refused',
    message: 'builtin/fill fills a schema, and the step has none.',
    fix: 'Give the step a schema, or use builtin/summary.',
    status: 422,
    billed: 'none',
  });
