import type { JsonObject } from '#schemas/json.ts';
import { usageFault } from '../faults.ts';
import { readTextFile } from '../input-files.ts';
import { readPairs } from '../lists.ts';
import type { Output } from '../output.ts';

export interface InputSources {
  output: Output;
  /** The plan that the input is for. */
  plan: { name: string; document: JsonObject };
  /** `key=value`, typed by the schema. */
  pairs: string[];
  /** A JSON or YAML file, or `-`; null: none. */
  file: string | null;
}

/** The run's input: the file's members, then the pairs over them. Whether it is what the plan wants is the server's to say. */
export async function readInput(sources: InputSources): Promise<JsonObject> {
  const fromFile = sources.file === null ? {} : await readInputFile(sources.file, sources.output);
  if (sources.pairs.length === 0) return fromFile;
  const { coerceInput } = await import('#core/plan/coerce-input.ts');
  return { ...fromFile, ...coerceInput(sources.plan.document['input'] ?? null, readPairs(sources.pairs, '--input'), sources.plan.name) };
}

async function readInputFile(path: string, output: Output): Promise<JsonObject> {
  const name = path === '-' ? 'standard input' : path;
  const source = await readTextFile(path, output);
  const { parse } = await import('yaml');
  let value: unknown;
  try {
    value = parse(source, { maxAliasCount: 0, uniqueKeys: true }); // JSON is YAML
  } catch (error) {
    throw usageFault(`${name} is neither JSON nor YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw usageFault(`${name} must hold an object: the run's input by name.`);
  return value as JsonObject;
}
