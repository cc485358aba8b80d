import { type Command, Option } from 'commander';
import { asJsonObject, type Json, type JsonObject } from '#schemas/json.ts';
import { type DeliverySample, type SetTrigger, webhookSchemes } from '#schemas/trigger.ts';
import { usageFault } from './faults.ts';
import { readTextFile } from './input-files.ts';
import { collect, readPairs } from './lists.ts';
import type { Output } from './output.ts';

export interface MappingOptions {
  plan?: string;
  filter?: string | false;
  input?: string[];
  inputFile?: string;
}

export interface TriggerOptions extends MappingOptions {
  publicKey?: string[];
  label?: string[];
  privateHeader?: string[];
  privateBody?: string[];
}

export const schemeOption = (): Option => new Option('--scheme <scheme>', 'how its sender signs').choices(webhookSchemes).makeOptionMandatory();

export const addMappingOptions = (command: Command): Command =>
  command
    .option('--plan <plan>', 'NAME (its newest version at each delivery), or NAME@VERSION')
    .option('--filter <expression>', 'CEL over body and headers; what it is false for is ignored')
    .option('-i, --input <key=value>', "an input of the plan, with expressions: -i 'title=${body.issue.title}' (repeat for several)", collect)
    .option('--input-file <file>', 'the inputs as YAML or JSON; - for standard input');

export const addTriggerOptions = (command: Command): Command =>
  addMappingOptions(command)
    .option('--no-filter', 'everything starts a run')
    .option('--public-key <key>', "the sender's whpk_… (Standard Webhooks; repeat for two)", collect)
    .option('-l, --label <name=value>', 'a label of each run (repeat for several)', collect)
    .option('--private-header <name>', 'a header that is not shown with deliveries (repeat for several)', collect)
    .option('--private-body <pointer>', 'a part of the body that is not shown, as in /customer/email (repeat for several)', collect);

/** What the options say, over what was there. */
export async function readTriggerDefinition(output: Output, options: TriggerOptions, before: SetTrigger | null): Promise<JsonObject> {
  const kept = asJsonObject(before ?? {});
  const isPrivate = options.privateHeader !== undefined || options.privateBody !== undefined;
  return {
    ...kept,
    ...(await readMappingOptions(output, options)),
    ...(options.publicKey === undefined ? {} : { publicKeys: options.publicKey }),
    ...(options.label === undefined ? {} : { labels: readPairs(options.label, '--label') }),
    ...(isPrivate ? { private: { headers: options.privateHeader ?? [], body: options.privateBody ?? [] } } : {}),
  };
}

export async function readMappingOptions(output: Output, options: MappingOptions): Promise<JsonObject> {
  const hasInput = options.input !== undefined || options.inputFile !== undefined;
  return {
    ...(options.plan === undefined ? {} : { plan: options.plan }),
    ...(options.filter === undefined || options.filter === (true as unknown) ? {} : { filter: options.filter === false ? null : options.filter }),
    ...(hasInput ? { input: { ...(await readInputs(output, options.inputFile)), ...readPairs(options.input ?? [], '--input') } } : {}),
  };
}

async function readInputs(output: Output, file: string | undefined): Promise<JsonObject> {
  if (file === undefined) return {};
  const value = await readValue(output, file);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw usageFault(`${file} must hold an object: the plan's inputs by name.`);
}

/** A sample of a delivery: its body from a file, JSON where it is, and headers. */
export async function readSample(output: Output, { body, header }: { body: string; header?: string[] }): Promise<DeliverySample> {
  return { body: await readValue(output, body), headers: readPairs(header ?? [], '--header') };
}

async function readValue(output: Output, file: string): Promise<Json> {
  const text = await readTextFile(file, output);
  const { parse } = await import('yaml');
  try {
    return parse(text, { maxAliasCount: 0, uniqueKeys: true }) as Json; // JSON is YAML
  } catch (error) {
    throw usageFault(`${file} is neither JSON nor YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
}
