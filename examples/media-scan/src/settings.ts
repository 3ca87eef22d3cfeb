import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where the service and the workers find each other: in one database, and in one folder. */
export const {
  DATABASE_URL: connectionString = 'postgresql://localhost:5432/media',
  UPLOADS: uploads = tmpdir(),
  SCAN_LOG: scanLog = join(tmpdir(), 'media-scan.jsonl'),
  PORT: port = '0',
} = process.env
