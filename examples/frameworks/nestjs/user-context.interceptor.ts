import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common'
import { from, lastValueFrom, type Observable } from 'rxjs'
import { prisma } from '../src/client.ts'

/** An interceptor comes after the guards: by then it is known who the user is. */
@Injectable()
export class UserContext implements NestInterceptor {
  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    const user = execution.switchToHttp().getRequest().headers['x-user'] ?? 'anonymous'
    const handled = () => lastValueFrom(next.handle(), { defaultValue: undefined })
    return from(prisma.$pubsub.withContext({ user }, handled))
  }
}
