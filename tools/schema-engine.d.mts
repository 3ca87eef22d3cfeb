export function schemaEngineEnvironment(): Record<string, string>
