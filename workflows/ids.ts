/** Every workflow id and the queue they run on. A run's id is its workflow id. */
export const runsTaskQueue = 'runs';

export const workflowTypes = {
  planRun: 'planRun',
  forEachWindow: 'forEachWindow',
  scheduledRun: 'scheduledRun',
  outgoingDelivery: 'outgoingDelivery',
} as const;

export const workspaceSearchAttribute = 'KosWorkspace';

export const makeRunWorkflowId = (runId: string): string => runId;

/** A resumed run is another generation, so its windows never meet those of the chain that was lost. */
export const makeWindowWorkflowId = (runId: string, generation: number, step: number, from: number): string => `${runId}.g${generation}.s${step}.w${from}`;

/** The run that a workflow id belongs to. */
export const runIdOfWorkflow = (workflowId: string): string => workflowId.split('.')[0] ?? workflowId;
