import { approvalDigest, type Covered } from '#core/approval/digest.ts';
import { editArguments, inputSchemaOfKind } from '#core/approval/edit.ts';
import { type FaultDetail, KosError } from '#core/errors.ts';
import { validateJson } from '#core/plan/json-schema.ts';
import type { Approval, ApprovalArgument, EditedArgument } from '#schemas/approval.ts';
import type { Json } from '#schemas/json.ts';
import type { ToolDescription } from '#services/tools/registry.ts';

/** What edited arguments are held against. */
export interface EditChecks {
  listTools(): ToolDescription[];
  /** Within a budget: a tool's schema may be dear to check. */
  validateJson(schema: Json, value: Json): Promise<FaultDetail[]>;
}

/** Calls of tools cannot be edited where it is not known which there are. */
export const nothingInstalled: EditChecks = { listTools: () => [], validateJson: async (schema, value) => validateJson(schema, value) };

/** Throws KosError `arguments_invalid` (422) with every fault, `edit_refused` (409) when it cannot be said what would run. */
export async function editedArguments(
  checks: EditChecks,
  approval: Approval,
  covers: Covered | null,
  edited: EditedArgument[],
): Promise<{ arguments: ApprovalArgument[]; digest: string }> {
  if (covers === null) throw editRefused(approval, 'it was asked for by an earlier release of kOS, which did not keep what its digest covers');
  const edit = editArguments(approval.arguments, edited);
  if (!edit.ok) throw argumentsInvalid(edit.faults);
  const faults: FaultDetail[] = [];
  for (const { stepPath } of edited) {
    const index = edited.findIndex((one) => one.stepPath === stepPath);
    const argument = edit.arguments.find((one) => one.stepPath === stepPath);
    if (argument === undefined) continue;
    const found = await checks.validateJson(inputSchemaFor(checks, approval, covers, argument), argument.input);
    faults.push(...found.map((fault) => ({ ...fault, pointer: `/arguments/${index}/input${fault.pointer}` })));
  }
  if (faults.length > 0) throw argumentsInvalid(faults);
  return { arguments: edit.arguments, digest: approvalDigest(covers, approval.message, edit.arguments) };
}

function inputSchemaFor(checks: EditChecks, approval: Approval, covers: Covered, { kind, tool }: ApprovalArgument): Json {
  if (tool === undefined) return inputSchemaOfKind(kind);
  const installed = checks.listTools().find(({ name }) => name === tool);
  if (installed === undefined || installed.version !== covers.tools[tool]) {
    throw editRefused(approval, `the tool ${tool} is installed in another version than the one it was asked for`);
  }
  return installed.inputSchema;
}

const argumentsInvalid = (details: FaultDetail[]): KosError =>
  new KosError({
    code: 'arguments_invalid',
    message: `The steps could not run with these arguments: ${details[0]?.message ?? 'they are not what the tools take'}.`,
    fix: 'Correct them; nothing was decided.',
    status: 422,
    details,
  });

const editRefused = (approval: Approval, because: string): KosError =>
  new KosError({
    code: 'edit_refused',
    message: `The arguments of ${approval.id} cannot be edited: ${because}.`,
    fix: 'Decide on the arguments as they are, or start the run again.',
    status: 409,
  });
