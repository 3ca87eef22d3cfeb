import { Module } from '@nestjs/common'
import { MediaController, WebhooksController } from './media.controller.ts'

@Module({ controllers: [MediaController, WebhooksController] })
export class AppModule {}
