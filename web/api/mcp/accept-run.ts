import type { StartRun } from '#schemas/run.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { RecordId } from './once.ts';
import type { McpCall } from './tool.ts';

/** Accepts a run for who calls, and gives its id. */
export async function acceptRun(dependencies: ApiDependencies, { principal }: McpCall, request: StartRun, record: RecordId): Promise<string> {
  const { runId } = await dependencies.acceptRun({
    workspaceId: principal.workspaceId,
    actor: principal.principalId,
    responsible: principal.responsible,
    origin: { kind: 'mcp', id: principal.credentialId },
    request,
    alsoInTransaction: record,
  });
  dependencies.nudgeOutbox();
  return runId;
}
