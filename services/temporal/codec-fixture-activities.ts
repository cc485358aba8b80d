import { activityInfo, ApplicationFailure, heartbeat } from '@temporalio/activity';

export interface CodecActivities {
  echo(text: string): Promise<string>;
  /** Heartbeats the text, fails, and answers with the heartbeat at the second attempt. */
  beatThenRetry(text: string): Promise<string>;
  fail(text: string): Promise<never>;
  refusedEcho(text: string): Promise<string>;
}

export const codecActivities: CodecActivities = {
  echo: async (text) => text,
  refusedEcho: async (text) => text,
  beatThenRetry: async (text) => {
    if (activityInfo().attempt > 1) return String(activityInfo().heartbeatDetails);
    heartbeat(text);
    throw ApplicationFailure.retryable(`try again with ${text}`);
  },
  fail: async (text) => {
    throw ApplicationFailure.nonRetryable(`failed with ${text}`, 'TestFailure', text);
  },
};
