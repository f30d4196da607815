<?php
// Composes and sends a message with PHPMailer: a UTF-8 subject, a 1,500-character line, $MESSAGE as the attachment.
// What went over the wire is written to $SENT.
require getenv('PHP_LIBRARY') . '/autoload.php';

use PHPMailer\PHPMailer\PHPMailer;
use PHPMailer\PHPMailer\SMTP;

$mail = new PHPMailer(true);
$mail->isSMTP();
$mail->Host = getenv('SMTP_HOST');
$mail->Port = (int) getenv('SMTP_PORT');
$mail->Timeout = 30;
$mail->SMTPDebug = SMTP::DEBUG_SERVER;
$mail->Debugoutput = 'echo';
$security = ['none' => '', 'starttls' => PHPMailer::ENCRYPTION_STARTTLS, 'implicit' => PHPMailer::ENCRYPTION_SMTPS];
$mail->SMTPSecure = $security[getenv('SMTP_SECURITY')];
$mail->SMTPAutoTLS = false;
if (getenv('SMTP_AUTHORITY') !== '') {
    $mail->SMTPOptions = ['ssl' => ['cafile' => getenv('SMTP_AUTHORITY')]];
}
if (getenv('SMTP_MECHANISM') !== '') {
    $mail->SMTPAuth = true;
    $mail->AuthType = getenv('SMTP_MECHANISM');
    $mail->Username = getenv('SMTP_USERNAME');
    $mail->Password = getenv('SMTP_PASSWORD');
}
try {
    $mail->CharSet = 'utf-8';
    $mail->setFrom(getenv('MAIL_FROM'), 'Clinic');
    foreach (explode(',', getenv('MAIL_TO')) as $recipient) {
        $mail->addAddress($recipient);
    }
    $mail->Subject = 'Überweisung für Frau Åström – 検査結果 ✓';
    $mail->Body = "Größe 1,5 µm\n" . str_repeat('x', 1500) . "\n.\n..\n.x\n";
    $mail->addAttachment(getenv('MESSAGE'), 'scan.eml');
    $mail->preSend();
    file_put_contents(getenv('SENT'), $mail->getSentMIMEMessage());
    $mail->postSend();
} catch (Throwable $error) {
    echo get_class($error), ': ', $error->getMessage(), "\n";
    exit(1);
}
