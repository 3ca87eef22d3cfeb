import { Body, Controller, Post, UseInterceptors } from '@nestjs/common'
import { storeMedia, type Upload } from '../src/store-media.ts'
import { UserContext } from './user-context.interceptor.ts'

@Controller('media')
@UseInterceptors(UserContext)
export class MediaController {
  @Post()
  store(@Body() upload: Upload) {
    return storeMedia(upload)
  }
}

@Controller('webhooks')
export class WebhooksController {
  @Post()
  store(@Body() upload: Upload) {
    return storeMedia(upload)
  }
}
