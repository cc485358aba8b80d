import type { StopStep } from './child-process.ts';

export interface ListenPlace {
  /** A folder for a Unix socket, or null to listen on 127.0.0.1 (Windows). */
  socketFolder: string | null;
  port: number;
}

export interface PostgresPurpose {
  /** False only in tests: faster, and lost with the machine. */
  durable: boolean;
  /** Sessions at most. */
  connections: number;
}

/** The API with its sequencer and duties takes about 20, a worker 14: room for a second worker, and to look in by hand. */
export const productConnections = 60;

/** Given at every start, so that an old data folder gets what today's version wants. Sizes suit a machine of 2 cores and little memory. */
export function postgresSettings(place: ListenPlace, purpose: PostgresPurpose): Record<string, string> {
  const { durable } = purpose;
  return {
    listen_addresses: place.socketFolder === null ? '127.0.0.1' : '',
    port: String(place.port),
    unix_socket_directories: place.socketFolder ?? '',
    unix_socket_permissions: '0700',
    max_connections: String(purpose.connections),
    shared_buffers: '64MB',
    work_mem: '4MB',
    maintenance_work_mem: '32MB',
    // Pages that are already cached by the system count, too; the default assumes 4 GB.
    effective_cache_size: '256MB',
    jit: 'off',
    // Parallel plans cost processes and memory, and our queries are short.
    max_parallel_workers_per_gather: '0',
    max_worker_processes: '2',
    max_logical_replication_workers: '0',
    autovacuum_max_workers: '2',
    io_method: 'sync',
    min_wal_size: '32MB',
    max_wal_size: '256MB',
    checkpoint_timeout: '5min',
    wal_compression: 'pglz',
    wal_level: 'minimal',
    max_wal_senders: '0',
    fsync: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
    // After a crash every file must be on the disk before recovery: one call for the file system instead of one for each of 1,300 files (0.2 s, not 2 s).
    ...(process.platform === 'linux' ? { recovery_init_sync_method: 'syncfs' } : {}),
    // A client that vanished (SIGKILL of a worker) must not hold locks for long.
    idle_in_transaction_session_timeout: '60s',
    client_connection_check_interval: '10s',
    password_encryption: 'scram-sha-256',
    timezone: 'UTC',
    log_timezone: 'UTC',
    lc_messages: 'C',
    log_line_prefix: '%m [%p] ',
    log_checkpoints: 'off',
    logging_collector: 'off',
    // A refused statement is not repeated in the log, which tools may read: it can hold the password that it was to give to a role.
    log_min_error_statement: 'panic',
  };
}

/** SIGINT is Postgres' fast shutdown (sessions are ended, a checkpoint is written), SIGQUIT the immediate one (recovery at the next start). */
export const postgresStopSteps: StopStep[] = [
  { signal: 'SIGINT', graceMs: 2_000 },
  { signal: 'SIGQUIT', graceMs: 500 },
];
