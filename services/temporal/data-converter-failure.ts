import { DefaultFailureConverter } from '@temporalio/common';

/** Messages and stack traces of failures go through the codec too. Loaded by path on both sides: in Node, and bundled into workflow code. */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
