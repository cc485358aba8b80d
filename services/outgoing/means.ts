import type { EgressPolicy } from '#services/egress/guard.ts';
import type { Sealing } from '#services/sealing/sealing.ts';

/** What sending to the outside stands on. */
export interface SendMeans {
  sealing: Sealing;
  /** Ports of kOS itself, and how names are resolved. */
  egress: Omit<EgressPolicy, 'allow'>;
  /** The hosts that a workspace allows, now. */
  allowedHosts(workspaceId: string): Promise<readonly string[]>;
}

export const policyFor = async ({ egress, allowedHosts }: SendMeans, workspaceId: string): Promise<EgressPolicy> => ({
  ...egress,
  allow: await allowedHosts(workspaceId),
});
