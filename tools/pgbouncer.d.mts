export function findPgBouncer(): { command: string; env: Record<string, string> } | { missing: string }
export function fetchPgBouncer(): void
