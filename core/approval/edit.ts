import type { FaultDetail } from '#core/errors.ts';
import type { ApprovalArgument, EditedArgument } from '#schemas/approval.ts';
import type { Json } from '#schemas/json.ts';

export type Edit = { ok: true; arguments: ApprovalArgument[] } | { ok: false; faults: FaultDetail[] };

/** The arguments with other inputs: of the same steps, tools and order. A step that is not named keeps its input. */
export function editArguments(shown: readonly ApprovalArgument[], edited: readonly EditedArgument[]): Edit {
  const faults: FaultDetail[] = [];
  const inputs = new Map<string, Json>();
  for (const [index, { stepPath, kind, tool, input }] of edited.entries()) {
    const pointer = `/arguments/${index}`;
    const argument = shown.find((one) => one.stepPath === stepPath);
    if (argument === undefined) faults.push({ pointer: `${pointer}/stepPath`, message: `"${stepPath}" is none of the steps that this approval covers` });
    else if (kind !== undefined && kind !== argument.kind) faults.push({ pointer: `${pointer}/kind`, message: `"${stepPath}" is of kind ${argument.kind}` });
    else if (tool !== undefined && tool !== argument.tool) faults.push({ pointer: `${pointer}/tool`, message: `the tool of "${stepPath}" cannot be changed` });
    else if (inputs.has(stepPath)) faults.push({ pointer: `${pointer}/stepPath`, message: `"${stepPath}" is named twice` });
    else inputs.set(stepPath, input);
  }
  if (faults.length > 0) return { ok: false, faults };
  return {
    ok: true,
    arguments: shown.map((argument) => (inputs.has(argument.stepPath) ? { ...argument, input: inputs.get(argument.stepPath) ?? null } : argument)),
  };
}

const text = { type: 'string', minLength: 1 };

/** JSON Schema of what each kind of step works on; a tool has its own. */
export function inputSchemaOfKind(kind: string): Json {
  switch (kind) {
    case 'artifact':
      return {
        type: 'object',
        properties: { name: { ...text, maxLength: 1_000 }, content: true, mediaType: { ...text, maxLength: 200 } },
        required: ['name', 'content'],
        additionalProperties: false,
      };
    case 'llm':
      return {
        type: 'object',
        properties: {
          model: text,
          prompt: text,
          system: { type: 'string' },
          schema: { type: 'object' },
          maxOutputTokens: { type: 'integer', minimum: 1, maximum: 1_000_000 },
          temperature: { type: 'number', minimum: 0, maximum: 2 },
        },
        required: ['model', 'prompt'],
        additionalProperties: false,
      };
    case 'transform':
      return true;
    default:
      return false;
  }
}
